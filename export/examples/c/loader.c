// Reads records from standard input and prints the entities that a bundle finds; export/examples/README.md.
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

#include "bundle.h"

enum { RECORD, END_OF_INPUT, BROKEN };

// Reads the next record into `text`, which the caller frees.
static int read_record(FILE *in, size_t record, char **text, size_t *size, Error *error) {
  *text = NULL;
  *size = 0;
  int digits = 0, byte = getc(in);
  if (byte == EOF && !ferror(in)) {
    return END_OF_INPUT;
  }
  for (; byte >= '0' && byte <= '9' && digits < 9; digits++) {
    *size = 10 * *size + (size_t)(byte - '0');
    byte = getc(in);
  }
  if (digits == 0 || byte != '\n') {
    snprintf(error->text, sizeof error->text,
             "standard input: record %zu: must begin with a line of at most 9 digits, its number of bytes", record);
    return BROKEN;
  }
  *text = malloc(*size + 1);
  if (*text == NULL) {
    snprintf(error->text, sizeof error->text, "standard input: record %zu: out of memory for %zu bytes", record, *size);
    return BROKEN;
  }
  const size_t got = fread(*text, 1, *size, in);
  if (got < *size) {
    snprintf(error->text, sizeof error->text, "standard input: record %zu: must have %zu bytes, got %zu", record,
             *size, got);
    return BROKEN;
  }
  return RECORD;
}

static bool annotate(const Bundle *bundle, FILE *in, FILE *out, Error *error) {
  for (size_t record = 0;; record++) {
    char *text;
    size_t size;
    Entities found;
    const int state = read_record(in, record, &text, &size, error);
    const bool answered = state == RECORD && bundle_entities(bundle, text, size, &found, error);
    free(text);
    if (!answered) {
      return state == END_OF_INPUT;
    }
    fprintf(out, "%zu\n", found.count);
    for (size_t i = 0; i < found.count; i++) {
      const Entity *entity = &found.items[i];
      fprintf(out, "%d\t%d\t%s\t%.6f\n", (int)entity->start, (int)entity->end, entity->label, (double)entity->score);
    }
    entities_free(&found);
    if (fflush(out) != 0) {
      snprintf(error->text, sizeof error->text, "standard output: cannot be written");
      return false;
    }
  }
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: %s BUNDLE_VERSION_DIRECTORY < RECORDS\n", count > 0 ? arguments[0] : "loader");
    return 2;
  }
  Error error;
  Bundle *bundle = bundle_load(arguments[1], &error);
  fprintf(stderr, "TensorFlow %s\n", TF_Version());
  const bool done = bundle != NULL && annotate(bundle, stdin, stdout, &error);
  if (!done) {
    fprintf(stderr, "loader: %s\n", error.text);
  }
  bundle_free(bundle);
  return done ? 0 : 1;
}
