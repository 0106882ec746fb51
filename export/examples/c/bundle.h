// Loads a version of a bundle through TensorFlow's C API.
#ifndef EMR_NER_BUNDLE_H_
#define EMR_NER_BUNDLE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char text[512];
} Error;

// A mention: half-open offsets in Unicode code points of the text, its probability and its label (UTF-8).
typedef struct {
  int32_t start;
  int32_t end;
  float score;
  char *label;
} Entity;

typedef struct {
  size_t count;
  Entity *items;
} Entities;

typedef struct Bundle Bundle;

// Loads the directory of a version, which contains saved_model.pb. Returns NULL and sets the error on failure.
Bundle *bundle_load(const char *directory, Error *error);

// Finds the entities of a text of `size` bytes. Bytes that are not UTF-8 count as U+FFFD, as Python's
// errors="replace" decodes them. Usable from several threads. After true, free the result with `entities_free`.
bool bundle_entities(const Bundle *bundle, const char *text, size_t size, Entities *found, Error *error);

void entities_free(Entities *entities);

void bundle_free(Bundle *bundle);

#endif  // EMR_NER_BUNDLE_H_
