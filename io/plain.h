/* Internal to io/, train/ and onnx/: numbers of files are the same whatever locale and rounding the program has. */
#ifndef WG_IO_PLAIN_H
#define WG_IO_PLAIN_H

#include <fenv.h>
#include <locale.h>

/* What the calling thread had. */
typedef struct wg__plain {
    locale_t locale;
    fenv_t environment;
} wg__plain;

/* Between these two the calling thread is in the locale "C", rounds to nearest, has no traps and keeps denormal
 * numbers. Only calls, and arithmetic from memory to memory, are safe there: see WG__FP_CALLED in base/fp.h. */
wg__plain wg__plain_begin(void);
void wg__plain_end(const wg__plain *caller);

#endif
