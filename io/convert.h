/* Internal: numbers of a file's types as ours. */
#ifndef WG_CONVERT_H
#define WG_CONVERT_H

#include "tensors.h"

typedef struct wg__converter wg__converter;

/* How a parameter or a buffer of this dtype takes numbers of the entry's type; NULL: it does not. */
const wg__converter *wg__converter_of(const wg_entry *e, wg_dtype dtype, bool buffer);
/* How numbers of a type are read, by safetensors' name for it; NULL: no such numbers. */
const wg__converter *wg__converter_for(const char *type);
/* The number that begins at `from`. */
double wg__converter_number(const wg__converter *converter, const char *from);
/* The f16 that begins at `from`. */
double wg__f16_at(const char *from);
/* Whether a finite number of the entry would become infinite. */
bool wg__overflows(const wg_entry *e, wg_dtype dtype);
/* Converts n numbers that are `stride` elements apart, rounded to nearest; to has dtype f32, f64 or bf16. */
void wg__convert(const wg__converter *converter, const char *from, int64_t stride, int64_t n, wg_dtype dtype,
                 void *to);
/* Bytes of an element of the file. */
size_t wg__converter_size(const wg__converter *converter);

#endif
