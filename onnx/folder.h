/* Internal. The mapped model and the files of external data beside it. */
#ifndef WG_ONNX_FOLDER_H
#define WG_ONNX_FOLDER_H

#include "../autograd/base/heap.h"
#include "tensor.h"

/* A mapped file. */
typedef struct wg__mapped {
    struct wg__mapped *next;
    const char *name; /* relative to the folder */
    wg__span bytes;
} wg__mapped;

struct wg__folder {
    wg__arena *arena; /* of names */
    const char *path; /* of the model, for messages */
    wg__mapped *first;
};

/* Maps the model itself. */
bool wg__folder_open(wg__folder *folder, wg__arena *arena, const char *path, wg__span *bytes, wg_error *error);
/* The bytes of a file in the model's folder; size < 0: up to its end. */
bool wg__folder_take(wg__folder *folder, wg__span location, uint64_t offset, int64_t size, wg__span *bytes,
                     wg_error *error);
void wg__folder_close(wg__folder *folder);

/* A copy of the span with a NUL; NULL if out of memory. */
char *wg__span_text(wg__arena *arena, wg__span span);

#endif
