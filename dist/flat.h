/* Internal to dist/: many arrays seen as one, in a fixed order, of f32 or f64. */
#ifndef WG_DIST_FLAT_H
#define WG_DIST_FLAT_H

#include <stddef.h>
#include <stdint.h>

typedef struct wg__flat {
    size_t size; /* of an element: 4 or 8 */
    int64_t numel;
    char *whole;          /* one array, or NULL: */
    size_t n;             /* several: elements begin[i] to begin[i + 1] - 1 are in memory[i] */
    const int64_t *begin; /* [n + 1] */
    char *const *memory;  /* [n] */
} wg__flat;

typedef struct wg__range {
    int64_t begin, end;
} wg__range;

/* What two ranges have in common; empty if there is nothing. */
wg__range wg__common(wg__range a, wg__range b);
wg__flat wg__flat_of(void *memory, int64_t numel, size_t size);
void wg__flat_read(const wg__flat *flat, wg__range range, void *to);
void wg__flat_write(const wg__flat *flat, wg__range range, const void *from);
void wg__flat_add(const wg__flat *flat, wg__range range, const void *from);
/* Each element times, or divided by, a number, computed in f64. */
void wg__flat_scale(const wg__flat *flat, wg__range range, double factor);
void wg__flat_divide(const wg__flat *flat, wg__range range, double divisor);
/* The array that holds element `at`. */
size_t wg__flat_find(const wg__flat *flat, int64_t at);

#endif
