/* Internal. Names of values while a graph is parsed: a name stands for one value, from its definition to the end of its
 * graph. */
#ifndef WG_ONNX_NAMES_H
#define WG_ONNX_NAMES_H

#include "../autograd/base/index.h"
#include "internal.h"

typedef struct wg__name {
    const char *text;
    uint32_t value; /* 0: not defined here */
    bool omitted;   /* an input of a function that the call does not give */
} wg__name;

typedef struct wg__names {
    wg__arena *arena; /* of the texts */
    wg__heap *heap;
    wg__name *list;
    uint32_t n, cap;
    wg__index index; /* text -> place in list, plus 1 */
} wg__names;

/* The entry of a name, which is added if it is new; NULL if out of memory, never for one that is there. Valid until the
 * next call. */
wg__name *wg__name_of(wg__names *names, wg__span text);
void wg__names_fini(wg__names *names);

#endif
