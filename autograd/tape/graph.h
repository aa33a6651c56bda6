/* Internal. The tape: plain nodes with integer ids in growing arrays, and its other state.
 *
 * Room tape: recording, interning, scopes, errors, parameters. It validates and appends; it never reads a value of a
 * tensor, differentiates, plans or runs. The tape has opaque pointers to plans and run memory; their rooms own them.
 *
 * A node is one operation and its one result. Shapes, attributes and ops are interned: equal content has one id for as
 * long as the tape exists, so two recordings of the same program are equal byte by byte, and a plan is found by
 * comparing memory.
 *
 * Ids of nodes, shapes, attributes, ops, units, slots and packed weights count from 1. Id 0 means none; element 0 of
 * each table is reserved. A function that returns an id returns 0 on failure. Leaves, values and scopes are plain
 * indices from 0. */
#ifndef WG_GRAPH_H
#define WG_GRAPH_H

#include <assert.h>
#include <stdio.h>

#include "../base/heap.h"
#include "../base/index.h"
#include "exec.h"

/* ---- nodes --------------------------------------------------------------------------------------------------- */

typedef struct wg__node {
    uint16_t op;    /* 0: a leaf */
    uint16_t flags; /* WG__NODE_* */
    uint32_t n_in;  /* operands */
    uint32_t in[4]; /* their nodes, 0: an omitted operand; if n_in > 4, in[0] is the index of the first in spill */
    uint32_t shape; /* interned */
    uint32_t attr;  /* interned; 0: none */
    uint32_t slot;  /* leaf: index in leaves */
    uint32_t scope; /* index in scopes: where it was recorded */
    uint32_t forward; /* gradient node: the node it is a derivative of; NODE_REMAT, NODE_RECOMPUTED: the original */
    uint8_t dtype;
    uint8_t leaf; /* wg__leaf_kind */
    uint16_t spare;
    uint64_t key;    /* random op: its key; parameter leaf: the parameter's id */
    uint32_t value;  /* NODE_VALUE: index in values */
    uint32_t region; /* of rematerialization; 0: none */
} wg__node;
_Static_assert(sizeof(wg__node) == 64, "a node is one cache line");

enum {
    WG__NODE_DETACHED = 1,   /* no gradient flows through it */
    WG__NODE_KEPT = 2,       /* wg_keep: the next run computes it */
    WG__NODE_VALUE = 4,      /* evaluated: its value is values[value] until the reset */
    WG__NODE_REMAT = 8,      /* rematerializes the value of `forward` for the backward pass */
    WG__NODE_RECOMPUTED = 16 /* pass recompute: recomputes the value of `forward` inside the chain that reads it */
};

typedef enum wg__leaf_kind { WG__LEAF_NONE, WG__LEAF_DATA, WG__LEAF_PARAM } wg__leaf_kind;

typedef struct wg__leaf {
    void *data;       /* PARAM: the parameter's values; LEAF_PAST: a copy of the old ones */
    wg_param *param;  /* PARAM */
    uint64_t version; /* of the parameter when it was recorded */
    uint32_t assign;  /* the assignment that will overwrite it, counted from 1; 0: none */
    uint32_t wide;    /* the node that widens it, if it is a parameter in bf16; 0: none yet */
    bool recorded;    /* used outside of wg_no_grad_begin: a later run may still need the value */
    enum {
        WG__LEAF_CURRENT,
        WG__LEAF_PAST,    /* a run assigned the buffer; data is a copy of the old value */
        WG__LEAF_OUTDATED /* a run assigned the buffer; the old value is lost */
    } state;
} wg__leaf;

typedef struct wg__assign { /* a buffer that the next successful run writes */
    wg_buffer *buffer;
    uint32_t node;
    void *before; /* memory for the old value if something was recorded from it; NULL: not needed */
} wg__assign;

/* ---- the state of a tape, by the file that owns it ------------------------------------------------------------ */

typedef struct wg__errors { /* error.c */
    wg_error first;         /* since the reset */
    wg_error previous;      /* the first before the reset, for wg_tape_message */
    wg_error_callback callback;
    void *context;
} wg__errors;

typedef struct wg__on_gradient { /* run/final.c */
    wg_gradient_callback callback;
    void *context;
} wg__on_gradient;

typedef struct wg__scope {
    uint32_t parent;
    uint32_t ordinal; /* of the next random op in it; restarts with each epoch */
    uint64_t path_hash;
    const char *path; /* "encoder.l0"; scope 0 is "" */
} wg__scope;

typedef struct wg__scopes { /* scope.c */
    wg__scope *list;
    uint32_t n, cap, current;
    wg__arena names; /* paths; never rewound */
    wg__index index; /* path, in its parent -> scope */
} wg__scopes;

typedef struct wg__modes { /* scope.c */
    bool training;
    bool
        differentiating; /* derivative rules are recording: a node equal to an earlier one is not recorded again ... */
    bool distinct;       /* ... except now */
    bool planning;       /* a plan is made or run */
    int calls;           /* error callbacks and rules asked while recording that are running: no reset then */
    int no_grad;         /* nesting depth */
    int remat;           /* nesting depth */
    uint32_t n_regions; /* rematerialization regions opened since the reset */
    uint32_t forward;   /* while differentiating: the node whose derivative is recorded */
} wg__modes;

typedef struct wg__shape_info {
    wg_shape shape;
    int64_t numel;
} wg__shape_info;

typedef struct wg__interned { /* intern.c */
    const wg_op **ops;
    uint32_t n_ops, cap_ops;
    wg__shape_info *shapes;
    uint32_t n_shapes, cap_shapes;
    uint32_t *attrs, *attr_sizes; /* offset in attr_bytes and size */
    uint32_t n_attrs, cap_attrs, cap_attr_sizes;
    char *attr_bytes;
    uint32_t n_attr_bytes, cap_attr_bytes;
    wg__index op_index, shape_index, attr_index;
    wg__index param_index; /* parameter id -> its node, this epoch */
    wg__index same_index;  /* gradient nodes by content, during one differentiation */
} wg__interned;

struct wg__cache;     /* plan/cache.h: plans and packed weights */
struct wg__run_state; /* run/run.h: memory of runs, profile */

struct wg_tape {
    wg__heap heap;
    wg_tape_options options;
    const wg__structural *structural; /* the table of ops/ */
    unsigned passes;                  /* WG__PASS_* that are on; plan/passes.h */
    bool share_any_weight;            /* pass share_weight: weights of any size, for tests */
    uint64_t epoch, seed, step;
    bool step_drawn; /* a run has drawn random numbers of this step */
    wg__errors errors;
    wg__on_gradient on_gradient;
    wg__scopes scopes;
    wg__modes modes;
    wg__interned interned;

    wg__node *nodes;
    uint32_t n_nodes, cap_nodes;
    uint32_t *spill;
    uint32_t n_spill, cap_spill;
    wg__leaf *leaves;
    uint32_t n_leaves, cap_leaves;
    wg__assign *assigns;
    uint32_t n_assigns, cap_assigns;
    void **values; /* of evaluated nodes */
    uint32_t n_values, cap_values;
    uint32_t n_kept; /* nodes with NODE_KEPT that are not evaluated yet */
    uint64_t hash;   /* of everything recorded since the reset */
    uint64_t bytes;  /* of all nodes, views too; at most WG__MOST_BYTES, so that sums of sizes cannot overflow */

    wg__arena data;    /* copies of leaf data: this epoch */
    wg__arena results; /* evaluated values: this epoch */
    wg__arena working; /* while recording or planning; rewound by its next user */

    struct wg__cache *cache;
    struct wg__run_state *run;
    wg_tape_counts counts;
    struct {
        char passes[128]; /* "after-fuse,after-place" or "all"; "": none */
        FILE *out;
    } dump;                                             /* wg_trace_passes */
    wg_status (*run_now)(wg_tape *tape, uint32_t node); /* option eager: called for every recorded node; or NULL */
};

#define WG__MOST_BYTES ((uint64_t)1 << 56) /* 64 PiB */
enum { WG__MOST_ATTR_BYTES = 1 << 20 };    /* of one attribute */

/* ---- queries ------------------------------------------------------------------------------------------------- */

static inline const uint32_t *wg__inputs(const wg_tape *tape, const wg__node *node)
{
    assert(node->n_in <= 4 || (uint64_t)node->in[0] + node->n_in <= tape->n_spill);
    return node->n_in <= 4 ? node->in : tape->spill + node->in[0];
}
static inline const wg_op *wg__op_of(const wg_tape *tape, const wg__node *node)
{
    assert(node->op < tape->interned.n_ops);
    return tape->interned.ops[node->op];
}
static inline const wg_shape *wg__shape_of_node(const wg_tape *tape, const wg__node *node)
{
    assert(node->shape && node->shape < tape->interned.n_shapes);
    return &tape->interned.shapes[node->shape].shape;
}
static inline int64_t wg__numel_of(const wg_tape *tape, const wg__node *node)
{
    assert(node->shape && node->shape < tape->interned.n_shapes);
    return tape->interned.shapes[node->shape].numel;
}
static inline int64_t wg__size_of(const wg_tape *tape, const wg__node *node) /* bytes */
{
    return wg__numel_of(tape, node) * (int64_t)wg_dtype_size((wg_dtype)node->dtype);
}
static inline const void *wg__attr_of(const wg_tape *tape, const wg__node *node)
{
    assert(!node->attr || node->attr < tape->interned.n_attrs);
    return node->attr ? tape->interned.attr_bytes + tape->interned.attrs[node->attr] : NULL;
}
static inline wg_tensor wg__handle(wg_tape *tape, uint32_t node)
{
    assert(node < tape->n_nodes);
    return (wg_tensor){.tape = tape, .epoch = tape->epoch, .node = node};
}
static inline wg_tensor wg__nil(wg_tape *tape) { return wg__handle(tape, 0); }
static inline bool wg__op_is(const wg_tape *tape, const wg__node *node, const wg_op *op)
{
    return tape->interned.ops[node->op] == op;
}
static inline bool wg__failed(const wg_tape *tape) { return tape->errors.first.status != WG_OK; }
/* Whether the op can add its result to an operand (WG_OP_ADDS_TO); whether its result can be stored over that
 * operand or over one that it updates; and that operand's node; 0: none. */
static inline bool wg__adds_to(const wg_op *op) { return (op->flags & WG_OP_ADDS_TO) && op->max_in > op->min_in; }
static inline bool wg__has_base(const wg_op *op) { return wg__adds_to(op) || (op->flags & WG_OP_UPDATES); }
static inline uint32_t wg__base_of(const wg_tape *tape, const wg__node *node)
{
    const int base = wg__op_of(tape, node)->max_in - 1;
    assert(wg__has_base(wg__op_of(tape, node)));
    return (int)node->n_in > base ? wg__inputs(tape, node)[base] : 0;
}

/* ---- error.c ---- */

/* Stores the first error and calls the callback. Returns the status of the first error. */
wg_status wg__tape_error(wg_tape *tape, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
wg_status wg__out_of_memory(wg_tape *tape);
/* Whether code of users that runs inside of a call (rules, kernels, callbacks) may record; an error if not. */
bool wg__may_record(wg_tape *tape, const char *what);
/* Writes " [encoder.l0]", or "" for the outermost scope, to text. Returns its text. */
typedef struct wg__scope_text {
    char text[264];
} wg__scope_text;
const char *wg__scope_label(const wg_tape *tape, uint32_t scope, wg__scope_text *text);

/* ---- descriptor.c ---- */

/* The id of an op, whose descriptor is checked when the tape meets it first. Returns 0 with an error. */
uint32_t wg__op_id(wg_tape *tape, const wg_op *op);

/* ---- record.c, leaf.c ---- */

/* Appends a node with the operands in[node->n_in]. Returns 0 if out of memory. */
uint32_t wg__node_append(wg_tape *tape, const wg__node *node, const uint32_t *in);
/* The node of a handle; NULL for nil, and for an invalid handle, with an error that names `what`. */
wg__node *wg__resolve(wg_tensor tensor, const char *what);
void wg__hash_mix(wg_tape *tape, uint64_t a, uint64_t b);

/* ---- intern.c ---- */

uint32_t wg__intern_shape(wg_tape *tape, const wg_shape *shape); /* 0: out of memory, or the shape is invalid */
uint32_t wg__intern_attr(wg_tape *tape, const void *attr, size_t size);
uint32_t wg__intern_op(wg_tape *tape, const wg_op *op);
uint32_t wg__find_op(const wg_tape *tape, const wg_op *op); /* 0: never recorded on this tape */
uint32_t wg__param_node(const wg_tape *tape, uint64_t id);  /* 0: not used in this epoch */
bool wg__param_node_set(wg_tape *tape, uint64_t id, uint32_t node);
void wg__params_forget(wg_tape *tape);
/* A scope in the current one by its path; 0: none. Room for one more in the index, which then takes it. */
uint32_t wg__scope_find(const wg_tape *tape, uint64_t path_hash, const char *path);
bool wg__scope_room(wg_tape *tape);
void wg__scope_enter(wg_tape *tape, uint32_t scope);
/* A gradient node with the same op, operands, attribute and shape; 0: none, and then `id`, if not 0, is entered. */
uint32_t wg__same_node(wg_tape *tape, const wg__node *node, const uint32_t *in, uint32_t id);
void wg__same_clear(wg_tape *tape);
void wg__intern_release(wg_tape *tape);
bool wg__intern_is_stale(
    const wg_tape *tape);             /* most of the content is not of this epoch, and there is much of it */
void wg__intern_clear(wg_tape *tape); /* forgets shapes and attributes: only while no plan is cached */

/* ---- param.c ---- */

wg_params *wg__params_new(wg_dtype dtype, wg_allocator allocator, uint64_t seed, const wg__structural *structural);
void wg__params_use_pool(wg_params *set, wg_pool *pool); /* for wg_params_pool */
uint64_t wg__param_id(const wg_param *param);            /* unique in the process */
void *wg__param_data(wg_param *param);                   /* values */
void *wg__param_grad_data(wg_param *param);
bool wg__param_grad_empty(const wg_param *param);
void wg__param_grad_written(wg_param *param);   /* a run wrote it or added to it */
void wg__param_grad_clobbered(wg_param *param); /* a failed run wrote to it: clears it if it is empty */
void wg__param_grad_final(wg_param *param);     /* a run that goes on wrote it, if it was empty: it can be read */
void wg__param_grad_invalid(wg_param *param);   /* a run failed */
void wg__param_written(wg_param *param);        /* a run wrote the values */
bool wg__param_is_open(const wg_param *param);  /* the caller may be writing the values: no copy of them is valid */

#endif
