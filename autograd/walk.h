/* Internal. Walks over a recorded program, for tools that translate it: node by node, without the tape's own tables.
 *
 * Nodes have numbers from 1 on, in the order of recording, so that operands come before their users. What is returned
 * is valid until something is recorded on the tape, or it is reset. */
#ifndef WG_WALK_H
#define WG_WALK_H

#include "op.h"
#include "param.h"

typedef struct wg__walked {
    const wg_op *op;       /* NULL: a leaf */
    const void *attr;      /* of the op; NULL: none */
    size_t attr_size;      /* bytes */
    const uint32_t *in;    /* [n_in] the operands' numbers; 0: an omitted one */
    int n_in;              /* 0 for a leaf */
    wg_shape shape;        /* of the result */
    wg_dtype dtype;        /* of the result */
    const char *scope;     /* "encoder.l0"; "": the outermost */
    const wg_param *param; /* leaf of a parameter or buffer; else NULL */
    const void *data;      /* leaf: its numbers, contiguous; NULL: a run has overwritten them */
} wg__walked;

/* The number of a tensor's node; 0 for nil, and for a handle of another epoch. */
uint32_t wg__walk_number(wg_tensor tensor);
/* The allocator that the tape was made with. */
wg_allocator wg__walk_allocator(const wg_tape *tape);
/* The node with this number; `number` must be one of the tape's, not 0. */
wg__walked wg__walk_at(const wg_tape *tape, uint32_t number);

#endif
