/* What all programs of the zoo share: where fetch.py puts the models, and running one beside its original
 * (check.py). */
#ifndef MODELS_H
#define MODELS_H

#include "../app.h"

/* The path of a file in the folder: that given, or $WG_ZOO, or ~/.cache/wengert-zoo. The caller frees it. */
char *models_path(const char *folder, const char *file);

/* Writes an array as folder/in0.npy, or another kind and number. An error ends the program. */
void models_write(const char *folder, const char *kind, size_t number, const wg_entry *array);
/* Prints "ready"; then for each line of stdin calls run, and prints the seconds that it took. */
void models_serve(void (*run)(void *context), void *context);

#endif
