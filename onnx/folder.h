/* Internal. The model's file and the files of external data beside it, read into memory: what is cut or written while a
 * model is used changes nothing. */
#ifndef WG_ONNX_FOLDER_H
#define WG_ONNX_FOLDER_H

#include "../autograd/base/heap.h"
#include "tensor.h"

/* The bytes of a file. */
typedef struct wg__held {
    struct wg__held *next;
    const char *name; /* relative to the folder */
    wg__span bytes;
} wg__held;

struct wg__folder {
    wg__arena *arena; /* of names */
    const char *path; /* of the model, for messages */
    wg__held *first;  /* the model is the last */
};

/* Reads the model itself. */
bool wg__folder_open(wg__folder *folder, wg__arena *arena, const char *path, wg__span *bytes, wg_error *error);
/* The bytes of a file in the model's folder; size < 0: up to its end. */
bool wg__folder_take(wg__folder *folder, wg__span location, uint64_t offset, int64_t size, wg__span *bytes,
                     wg_error *error);
/* Frees the files of external data. */
void wg__folder_close_others(wg__folder *folder);
void wg__folder_close(wg__folder *folder);

/* Gives the pages within the span back to the system; they are zeros then. */
void wg__span_discard(wg__span span);
/* A copy of the span with a NUL; NULL if out of memory. */
char *wg__span_text(wg__arena *arena, wg__span span);

#endif
