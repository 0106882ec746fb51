// Reads the part of the wire format of protocol buffers that the signatures of a MetaGraphDef need.
#include "signature.h"

#include <string.h>

// Field numbers from tensorflow/core/protobuf/meta_graph.proto; those of map entries from the protobuf encoding guide.
enum { META_GRAPH_SIGNATURES = 5, TENSOR_INFO_NAME = 1, ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} Bytes;

static bool read_varint(Bytes *in, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
    const uint8_t byte = *in->at++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      return true;
    }
  }
  return false;
}

// Advances to the next field whose value has a length. Returns false at the end and if the bytes are truncated.
static bool next_field(Bytes *in, uint64_t *number, Bytes *value) {
  uint64_t key;
  while (read_varint(in, &key)) {
    uint64_t size = 0;
    switch (key & 7) {
      case VARINT:
        if (!read_varint(in, &size)) {
          return false;
        }
        continue;
      case FIXED64:
        size = 8;
        break;
      case FIXED32:
        size = 4;
        break;
      case LENGTH:
        if (!read_varint(in, &size)) {
          return false;
        }
        break;
      default:
        return false;
    }
    if (size > (uint64_t)(in->end - in->at)) {
      return false;
    }
    value->at = in->at;
    in->at += size;
    value->end = in->at;
    if ((key & 7) == LENGTH) {
      *number = key >> 3;
      return true;
    }
  }
  return false;
}

static bool find_field(Bytes message, uint64_t number, Bytes *value) {
  uint64_t found;
  while (next_field(&message, &found, value)) {
    if (found == number) {
      return true;
    }
  }
  return false;
}

static bool find_entry(Bytes message, uint64_t map, const char *key, Bytes *value) {
  uint64_t number;
  Bytes entry, name;
  while (next_field(&message, &number, &entry)) {
    if (number == map && find_field(entry, ENTRY_KEY, &name) && (size_t)(name.end - name.at) == strlen(key) &&
        memcmp(name.at, key, strlen(key)) == 0) {
      return find_field(entry, ENTRY_VALUE, value);
    }
  }
  return false;
}

bool signature_tensor(const uint8_t *meta_graph, size_t meta_graph_size, const char *signature, uint32_t side,
                      const char *name, char *operation, size_t operation_size, int *index) {
  Bytes message = {meta_graph, meta_graph + meta_graph_size}, definition, info, tensor;
  if (!find_entry(message, META_GRAPH_SIGNATURES, signature, &definition) ||
      !find_entry(definition, side, name, &info) || !find_field(info, TENSOR_INFO_NAME, &tensor)) {
    return false;
  }
  // "operation:index"
  const uint8_t *colon = tensor.end;
  while (colon > tensor.at && *--colon != ':') {
  }
  const size_t length = (size_t)(colon - tensor.at);
  if (length == 0 || length >= operation_size || tensor.end - colon > 5) {
    return false;
  }
  memcpy(operation, tensor.at, length);
  operation[length] = '\0';
  *index = 0;
  for (const uint8_t *digit = colon + 1; digit < tensor.end; digit++) {
    if (*digit < '0' || *digit > '9') {
      return false;
    }
    *index = 10 * *index + (*digit - '0');
  }
  return true;
}
