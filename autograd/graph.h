/* Internal. The tape in bytes: plain nodes with integer ids in growing arrays, no pointers inside.
 *
 * A node is one operation and its one result. Shapes and attributes are interned: equal content has the
 * equal id, for as long as the tape lives, so that two recordings of the same program are equal as bytes;
 * that is what makes a plan findable by comparing memory. */
#ifndef WG_GRAPH_H
#define WG_GRAPH_H

#include "exec.h"
#include "heap.h"
#include "random.h"

typedef struct wg__node {
    uint16_t op;      /* index in the tape's list of ops; 0: a leaf */
    uint16_t flags;   /* WG__NODE_* */
    uint32_t n_in;    /* operands */
    uint32_t in[4];   /* their nodes, 0 where not given; more than 4: in[0] is where they start in spill */
    uint32_t shape;   /* interned */
    uint32_t attr;    /* interned; 0: none */
    uint32_t slot;    /* leaf: index in leaves */
    uint32_t scope;   /* where it was recorded */
    uint32_t forward; /* of a gradient node: the node it is the derivative of */
    uint8_t dtype;
    uint8_t leaf; /* wg__leaf_kind */
    uint16_t spare;
    uint64_t key;    /* random: key; parameter leaf: the parameter's identity */
    uint32_t value;  /* once evaluated: index in values */
    uint32_t region; /* of rematerialisation, 0: none */
} wg__node;
_Static_assert(sizeof(wg__node) == 64, "a node is one cache line");

enum {
    WG__NODE_CUT = 1,    /* no gradient flows through it */
    WG__NODE_KEPT = 2,   /* wanted by the next run */
    WG__NODE_VALUE = 4,  /* computed: its value is at values[value] until the reset */
    WG__NODE_AGAIN = 8,  /* computes the value of `forward` again, for the way back */
    WG__NODE_BESIDE = 16 /* likewise, in the chain that reads it */
};

typedef enum wg__leaf_kind { WG__LEAF_NONE, WG__LEAF_DATA, WG__LEAF_PARAM, WG__LEAF_GRAD } wg__leaf_kind;

typedef struct wg__leaf {
    void *data;       /* PARAM: the parameter's; PAST: a copy of what that was */
    wg_param *param;  /* PARAM, GRAD */
    uint64_t version; /* of the parameter when it was recorded */
    bool recorded;    /* it was used outside of wg_no_grad_begin: a later run may want it again */
    enum {
        WG__LEAF_CURRENT,
        WG__LEAF_PAST,    /* a run assigned the buffer; this is the old value */
        WG__LEAF_OUTDATED /* likewise, but the old value is gone */
    } state;
} wg__leaf;

typedef struct wg__shape_info {
    wg_shape shape;
    int64_t numel;
} wg__shape_info;

typedef struct wg__scope {
    uint32_t parent;
    uint32_t ordinal; /* of the next random op in it; starts anew with each epoch */
    uint64_t path_hash;
    const char *path; /* "encoder.l0"; scope 0 is "" */
} wg__scope;

typedef struct wg__assign { /* a buffer to be written when the next run ends well */
    wg_buffer *buffer;
    uint32_t node;
    void *before; /* room for the old value, if something was recorded from it; NULL: none */
} wg__assign;

typedef struct wg__pack_key { /* which matrix over the memory of a parameter or other source */
    int64_t at, rs, cs, k, n;
} wg__pack_key;

typedef struct wg__held { /* a parameter's matrix as products want it, kept while its version stands */
    wg_param *param;
    wg__pack_key key;
    bool packed;
    uint64_t version; /* of the parameter when it was packed */
    void *memory;
    size_t bytes;
    uint32_t plans; /* that use it; 0: free */
} wg__held;

/* An index from content to id, open addressing. */
typedef struct wg__intern {
    uint32_t *table; /* id + 1, 0 is empty */
    uint32_t size, count;
} wg__intern;

typedef struct wg__plan wg__plan;
typedef struct wg__profile wg__profile;

enum {
    WG__PASS_MERGE = 1,
    WG__PASS_FUSE = 2,
    WG__PASS_PACK = 4,
    WG__PASS_PLACE = 8,
    WG__PASS_CACHE = 16,
    WG__PASS_SIDE = 32,
    WG__PASS_REMAT = 64,
    WG__PASS_ATTENTION = 128,
    WG__PASS_ROWS = 256,
    WG__PASS_LOOKUP = 512,
    WG__PASS_KEEP = 1024,
    WG__PASS_AGAIN = 2048
};

struct wg_tape {
    wg__heap heap;
    wg_tape_options options;
    unsigned passes; /* WG__PASS_* that are on */
    bool all_rows;   /* the pass rows does not look at sizes, for tests */
    wg_error error, last;
    wg_error_callback on_error;
    void *on_error_context;
    uint64_t epoch, seed, step;
    bool training, differentiating, running_eager;
    int no_grad;
    int remat;          /* how many marks of a region are open */
    uint32_t n_regions; /* marked since the reset */
    uint32_t forward;   /* while differentiating: the node whose derivative is recorded */

    wg__node *nodes;
    uint32_t n_nodes, cap_nodes; /* node 0 is nil */
    uint32_t *spill;
    uint32_t n_spill, cap_spill;
    wg__leaf *leaves;
    uint32_t n_leaves, cap_leaves;
    void **values; /* of evaluated nodes */
    uint32_t n_values, cap_values;
    wg__assign *assigns;
    uint32_t n_assigns, cap_assigns;
    uint32_t n_kept; /* marked and not yet computed */
    uint64_t hash;   /* of everything recorded since the reset */

    const wg_op **ops; /* descriptors seen, ops[0] = NULL for leaves */
    uint32_t n_ops, cap_ops;
    wg__intern op_index;
    wg__shape_info *shapes;
    uint32_t n_shapes, cap_shapes;
    wg__intern shape_index;
    uint32_t *attrs; /* offset of each attribute in attr_bytes; attrs[0] unused */
    uint32_t *attr_sizes;
    uint32_t n_attrs, cap_attrs, cap_attr_sizes;
    char *attr_bytes;
    uint32_t n_attr_bytes, cap_attr_bytes;
    wg__intern attr_index;
    wg__scope *scopes;
    uint32_t n_scopes, cap_scopes;
    uint32_t scope; /* current */

    wg__intern param_index; /* parameter identity -> its node, this epoch */
    wg__intern same_index;  /* gradient nodes by content, while one differentiation lasts */

    wg__arena names;   /* scope paths: for life */
    wg__arena data;    /* copies of leaf data: this epoch */
    wg__arena kept;    /* values that can be read: this epoch */
    wg__arena scratch; /* while recording or planning; rewound by whoever starts */

    wg__plan *plans; /* cached, most recently used first */
    uint32_t n_plans;
    wg__held *held;
    uint32_t n_held, cap_held;
    void *block; /* the memory plans run in */
    size_t block_bytes;
    void *task_scratch;
    size_t task_scratch_bytes;
    void *aside; /* gradients, before they are added to those that there are; values, before old ones are kept */
    size_t aside_bytes;
    wg_tape_counts counts;
    wg__profile *profile;
    const wg__plan *last_plan; /* of the last run, for dumps; still cached, or NULL */
};

struct wg_run {
    wg_tape *tape;
    uint64_t seed, step;
    uint64_t bad_index; /* node << 32 | position of the smallest offender; ~0: none. Under bad_lock. */
    int64_t bad_value, bad_limit;
    const wg_op *bad_op;
    uint32_t bad_count;
    int bad_lock;
};

/* ---- looking things up ---- */

static inline const uint32_t *wg__inputs(const wg_tape *tape, const wg__node *node)
{
    return node->n_in <= 4 ? node->in : tape->spill + node->in[0];
}
static inline const wg_op *wg__op_of(const wg_tape *tape, const wg__node *node) { return tape->ops[node->op]; }
static inline const wg_shape *wg__shape_of_node(const wg_tape *tape, const wg__node *node)
{
    return &tape->shapes[node->shape].shape;
}
static inline const void *wg__attr_of(const wg_tape *tape, const wg__node *node)
{
    return node->attr ? tape->attr_bytes + tape->attrs[node->attr] : NULL;
}
static inline wg_tensor wg__handle(wg_tape *tape, uint32_t node)
{
    return (wg_tensor){.tape = tape, .epoch = tape->epoch, .node = node};
}
/* Whether the op can add to what is there (WG_OP_ADDS_TO), and what the node adds to; 0: nothing. */
static inline bool wg__adds_to(const wg_op *op) { return (op->flags & WG_OP_ADDS_TO) && op->max_in > op->min_in; }
static inline uint32_t wg__base_of(const wg_tape *tape, const wg__node *node)
{
    const int base = tape->ops[node->op]->max_in - 1;
    return (int)node->n_in > base ? wg__inputs(tape, node)[base] : 0;
}
static inline bool wg__op_is(const wg_tape *tape, const wg__node *node, const wg_op *op)
{
    return tape->ops[node->op] == op;
}

/* ---- record.c ---- */

/* Stores the first error and calls the callback; returns the status. */
wg_status wg__tape_error(wg_tape *tape, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
wg_status wg__out_of_memory(wg_tape *tape);
/* Appends a node with the operands in[node->n_in]; 0 when memory is out. */
uint32_t wg__node_append(wg_tape *tape, const wg__node *node, const uint32_t *in);
/* The node of a live handle, or NULL with an error stored (none for nil). */
wg__node *wg__live(wg_tensor tensor, const char *what);
/* A leaf over memory; 0 on error. */
uint32_t wg__leaf_new(wg_tape *tape, wg__leaf_kind kind, wg_dtype dtype, const wg_shape *shape, wg__leaf leaf,
                      uint64_t key);
void wg__hash_mix(wg_tape *tape, uint64_t a, uint64_t b);

/* ---- intern.c ---- */

uint32_t wg__intern_shape(wg_tape *tape, const wg_shape *shape); /* UINT32_MAX: out of memory or invalid */
uint32_t wg__intern_attr(wg_tape *tape, const void *attr, size_t size);
uint32_t wg__intern_op(wg_tape *tape, const wg_op *op);
uint32_t wg__param_node(wg_tape *tape, uint64_t key); /* 0: none this epoch */
bool wg__param_node_set(wg_tape *tape, uint64_t key, uint32_t node);
/* A gradient node equal to this one in op, operands, attribute and shape; 0 if there is none, and then `id` (if not
 * 0) is the one from now on. */
uint32_t wg__same_node(wg_tape *tape, const wg__node *node, const uint32_t *in, uint32_t id);
void wg__same_clear(wg_tape *tape);
void wg__intern_release(wg_tape *tape);
void wg__intern_clear(wg_tape *tape); /* forgets shapes and attributes: only with no plan cached */

/* ---- grad.c ---- */

typedef struct wg__remat wg__remat;

/* Appends gradient nodes: of y (seeded with dy, 0 for ones) with respect to the nodes x[n]; dx[i] = 0 where
 * there is none. What remat says is computed again; NULL: nothing. */
wg_status wg__differentiate(wg_tape *tape, uint32_t y, uint32_t dy, const uint32_t *x, uint32_t n, uint32_t *dx,
                            wg__remat *remat);

/* ---- plan.c ---- */

/* Runs what is kept and assigned, and n more nodes; and if loss != 0 the backward pass of loss into `only` (all
 * parameters if NULL). */
wg_status wg__force(wg_tape *tape, const uint32_t *nodes, uint32_t n, uint32_t loss, wg_param *const *only,
                    uint32_t n_only);
void wg__plans_release(wg_tape *tape);
void wg__profile_free(wg_tape *tape);

/* ---- param.c ---- */

uint64_t wg__param_id(const wg_param *param); /* unique among those that live */
void *wg__param_data(wg_param *param);        /* values */
void *wg__param_grad_data(wg_param *param);
bool wg__param_grad_empty(const wg_param *param);
void wg__param_grad_written(wg_param *param); /* a run wrote it or added to it */
void wg__param_grad_spoilt(wg_param *param);  /* a run that failed wrote to it: cleared if it is empty */
void wg__param_grad_invalid(wg_param *param); /* a run failed */
void wg__param_written(wg_param *param);      /* a run wrote the value */

#endif
