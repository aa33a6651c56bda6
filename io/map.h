/* Internal to io/: the map of wg_checkpoint, which says where tensors of a file go. See wg_map_row in io.h. */
#ifndef WG_MAP_H
#define WG_MAP_H

#include "convert.h"

/* A tensor, or a part of it, that goes to rows of a member. */
typedef struct wg__part {
    size_t tensor, param;  /* index in the file; index in the set of the member's first name */
    const wg_map_row *how; /* NULL: as it is, to the member of its own name */
    int64_t row, rows;     /* of the member */
    bool fits;             /* shape and dtype do */
} wg__part;

/* A tensor as a map's row arranges it: its elements are read along `n` axes with strides, outermost first. */
typedef struct wg__arranged {
    wg_shape shape; /* of the part */
    int n;
    int64_t size[WG_MAX_RANK], stride[WG_MAX_RANK];
    int64_t take;               /* the first row */
    int blocks;                 /* of gates; 0: as they are */
    int64_t order[WG_MAX_RANK]; /* [blocks] which block of the file is the block here */
} wg__arranged;

/* WG_ERR_ARGUMENT for a row that makes no sense for any tensor. */
wg_status wg__map_check(const wg_map_row *map, size_t n, wg_error *error);
/* The first row for this name, or NULL; then the next of those that have the same `from`. */
const wg_map_row *wg__map_find(const wg_map_row *map, size_t n, const char *name);
const wg_map_row *wg__map_next(const wg_map_row *map, size_t n, const wg_map_row *row);
/* The member's name by a row for this name: `to` with its stars replaced. False if it is longer than size - 1. */
bool wg__map_name(const wg_map_row *row, const char *name, char *to, size_t size);

/* Arranges a tensor of this shape. NULL, or the reason why it cannot be. */
const char *wg__arrange(const wg_map_row *how, const wg_shape *shape, wg__arranged *arranged);
/* Converts the part's elements, in their order, to memory of this dtype, f32, f64 or bf16. */
void wg__copy_arranged(const wg__arranged *a, const wg__converter *converter, const char *from, wg_dtype dtype,
                       char *to);

#endif
