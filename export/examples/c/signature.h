// Reads the names of a graph's tensors from the signatures of a SavedModel.
#ifndef EMR_NER_SIGNATURE_H_
#define EMR_NER_SIGNATURE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Fields of SignatureDef.
enum { SIGNATURE_INPUTS = 1, SIGNATURE_OUTPUTS = 2 };

// Finds the tensor behind an input or output of a signature.
//
// meta_graph, meta_graph_size: a serialized MetaGraphDef from TF_LoadSessionFromSavedModel.
// side: SIGNATURE_INPUTS or SIGNATURE_OUTPUTS.
// operation, operation_size: buffer for the name of the graph's operation, with a NUL.
// index: index of the operation's output.
//
// Returns false if the signature has no such tensor, its name does not fit, or the bytes are not a MetaGraphDef.
bool signature_tensor(const uint8_t *meta_graph, size_t meta_graph_size, const char *signature, uint32_t side,
                      const char *name, char *operation, size_t operation_size, int *index);

#endif  // EMR_NER_SIGNATURE_H_
