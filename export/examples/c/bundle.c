#include "bundle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

#include "signature.h"

enum { NUM_ENTITIES, START, END, LABEL, SCORE, OUTPUTS };
static const char *const kSignature = "serving_default";
static const struct {
  const char *name;
  TF_DataType type;
  int dimensions;
} kOutputs[OUTPUTS] = {
    {"num_entities", TF_INT32, 1}, {"start", TF_INT32, 2}, {"end", TF_INT32, 2},
    {"label", TF_STRING, 2},       {"score", TF_FLOAT, 2},
};

struct Bundle {
  TF_Graph *graph;
  TF_Session *session;
  TF_Output text;
  TF_Output outputs[OUTPUTS];
};

__attribute__((format(printf, 2, 3))) static bool fail(Error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  return false;
}

static bool find_tensor(const Bundle *bundle, const TF_Buffer *meta_graph, uint32_t side, const char *name,
                        TF_Output *tensor, Error *error) {
  char operation[256];
  if (!signature_tensor(meta_graph->data, meta_graph->length, kSignature, side, name, operation, sizeof operation,
                        &tensor->index)) {
    return fail(error, "the signature %s has no `%s`", kSignature, name);
  }
  tensor->oper = TF_GraphOperationByName(bundle->graph, operation);
  if (tensor->oper == NULL || tensor->index >= TF_OperationNumOutputs(tensor->oper)) {
    return fail(error, "the graph has no tensor of the name that %s gives for `%s`", kSignature, name);
  }
  return true;
}

static bool load(Bundle *bundle, const char *directory, TF_Status *status, TF_Buffer *meta_graph, Error *error) {
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *const tags[] = {"serve"};
  bundle->session = TF_LoadSessionFromSavedModel(options, NULL, directory, tags, 1, bundle->graph, meta_graph, status);
  TF_DeleteSessionOptions(options);
  if (TF_GetCode(status) != TF_OK) {
    return fail(error, "%s: %s", directory, TF_Message(status));
  }
  if (!find_tensor(bundle, meta_graph, SIGNATURE_INPUTS, "text", &bundle->text, error)) {
    return false;
  }
  for (int i = 0; i < OUTPUTS; i++) {
    if (!find_tensor(bundle, meta_graph, SIGNATURE_OUTPUTS, kOutputs[i].name, &bundle->outputs[i], error)) {
      return false;
    }
  }
  return true;
}

Bundle *bundle_load(const char *directory, Error *error) {
  Bundle *bundle = calloc(1, sizeof *bundle);
  if (bundle == NULL) {
    fail(error, "out of memory");
    return NULL;
  }
  bundle->graph = TF_NewGraph();
  TF_Status *status = TF_NewStatus();
  TF_Buffer *meta_graph = TF_NewBuffer();
  const bool loaded = load(bundle, directory, status, meta_graph, error);
  TF_DeleteBuffer(meta_graph);
  TF_DeleteStatus(status);
  if (!loaded) {
    bundle_free(bundle);
    return NULL;
  }
  return bundle;
}

static char *copy_string(const TF_TString *from) {
  const size_t size = TF_StringGetSize(from);
  char *copy = malloc(size + 1);
  if (copy != NULL) {
    memcpy(copy, TF_StringGetDataPointer(from), size);
    copy[size] = '\0';
  }
  return copy;
}

static bool read_outputs(TF_Tensor *const *outputs, Entities *found, Error *error) {
  for (int i = 0; i < OUTPUTS; i++) {
    if (TF_TensorType(outputs[i]) != kOutputs[i].type || TF_NumDims(outputs[i]) != kOutputs[i].dimensions ||
        TF_Dim(outputs[i], 0) != 1) {
      return fail(error, "the output `%s` does not have the expected type and shape", kOutputs[i].name);
    }
  }
  const int32_t count = *(const int32_t *)TF_TensorData(outputs[NUM_ENTITIES]);
  for (int i = START; i < OUTPUTS; i++) {
    if (count < 0 || count > TF_Dim(outputs[i], 1)) {
      return fail(error, "the output `%s` has fewer values than num_entities=%d", kOutputs[i].name, (int)count);
    }
  }
  if (count == 0) {
    return true;
  }
  const int32_t *start = TF_TensorData(outputs[START]), *end = TF_TensorData(outputs[END]);
  const TF_TString *label = TF_TensorData(outputs[LABEL]);
  const float *score = TF_TensorData(outputs[SCORE]);
  found->items = calloc((size_t)count, sizeof *found->items);
  if (found->items == NULL) {
    return fail(error, "out of memory");
  }
  found->count = (size_t)count;
  for (size_t i = 0; i < found->count; i++) {
    found->items[i] = (Entity){start[i], end[i], score[i], copy_string(&label[i])};
    if (found->items[i].label == NULL) {
      return fail(error, "out of memory");
    }
  }
  return true;
}

bool bundle_entities(const Bundle *bundle, const char *text, size_t size, Entities *found, Error *error) {
  *found = (Entities){0, NULL};
  const int64_t shape[] = {1};
  TF_Tensor *input = TF_AllocateTensor(TF_STRING, shape, 1, sizeof(TF_TString));
  if (input == NULL) {
    return fail(error, "out of memory");
  }
  TF_TString *string = TF_TensorData(input);
  TF_StringInit(string);
  TF_StringCopy(string, text, size);
  TF_Tensor *outputs[OUTPUTS] = {NULL};
  TF_Status *status = TF_NewStatus();
  TF_SessionRun(bundle->session, NULL, &bundle->text, &input, 1, bundle->outputs, outputs, OUTPUTS, NULL, 0, NULL,
                status);
  const bool answered = TF_GetCode(status) == TF_OK
                            ? read_outputs(outputs, found, error)
                            : fail(error, "%s failed with code %d", kSignature, (int)TF_GetCode(status));
  if (!answered) {
    entities_free(found);
  }
  TF_DeleteStatus(status);
  for (int i = 0; i < OUTPUTS; i++) {
    TF_DeleteTensor(outputs[i]);
  }
  // A tensor that this program allocated does not free the content of its strings.
  TF_StringDealloc(string);
  TF_DeleteTensor(input);
  return answered;
}

void entities_free(Entities *entities) {
  for (size_t i = 0; i < entities->count; i++) {
    free(entities->items[i].label);
  }
  free(entities->items);
  *entities = (Entities){0, NULL};
}

void bundle_free(Bundle *bundle) {
  if (bundle == NULL) {
    return;
  }
  TF_Status *status = TF_NewStatus();
  if (bundle->session != NULL) {
    TF_CloseSession(bundle->session, status);
    TF_DeleteSession(bundle->session, status);
  }
  TF_DeleteGraph(bundle->graph);
  TF_DeleteStatus(status);
  free(bundle);
}
