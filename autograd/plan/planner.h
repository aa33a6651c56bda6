/* Internal. The program during planning: the data that passes read and write.
 *
 *     recorded nodes --rewrite--> nodes --differentiate, recompute--> nodes with gradients
 *       --liveness, residuals, layout, merge, fuse--> groups --lower--> units
 *       --alias, order, share_weight, schedule, pack, place--> units with stage and address --emit--> instructions
 *
 * A pass reads arrays that are indexed by node or by unit and fills its own. Each group of arrays below names the pass
 * that fills it. Ids count from 1; 0 means none. */
#ifndef WG_PLANNER_H
#define WG_PLANNER_H

#include "cache.h"
#include "passes.h"

/* Flags of a node. */
enum {
    WG__LIVE = 1,         /* must be computed */
    WG__STORED = 2,       /* pointwise: written to memory, since something outside its chain reads it */
    WG__CONTIGUOUS = 4,   /* its storage must be contiguous: a kernel or a view reads it */
    WG__MERGED = 8,       /* part of a merged sum of products: it has no value of its own */
    WG__OUTPUT = 16,      /* wanted by the user */
    WG__VIEW_COPY = 32,   /* a view that strides cannot express: its operand is copied first */
    WG__CONSTANT = 64,    /* one number for all elements, known while planning */
    WG__SLICE_COPY = 128, /* what a chain copies: a slice, if the backward pass reads little else; or widens */
    WG__DEFERRED = 256,   /* does not run before its place: a gradient node that could run in the forward pass; what
                           widens a parameter */
    WG__NARROW = 512      /* a root in f32 that is stored as bf16 */
};

typedef enum wg__unit_kind {
    WG__UNIT_KERNEL, /* one node by its kernel */
    WG__UNIT_CHAIN,
    WG__UNIT_PRODUCT,  /* one product, or a run of products with one sum */
    WG__UNIT_PRODUCTS, /* products by one weight, each with its own result */
    WG__UNIT_COPY,     /* the contiguous copy that a VIEW_COPY node is a view of */
    WG__UNIT_CONCAT,   /* the pieces of a concatenation that are not written in place */
    WG__UNIT_STORE     /* an output without a unit of its own (view, leaf, constant): copied at the end */
} wg__unit_kind;

/* Becomes one instruction (a concatenation: one per piece). */
typedef struct wg__unit {
    wg__unit_kind kind;
    bool accumulate;       /* PRODUCT: adds to the result of the unit before it */
    uint32_t node;         /* the value it computes; STORE: index of the output */
    uint32_t first, count; /* CHAIN, PRODUCT, PRODUCTS: its nodes in `members` */
    uint64_t earliest;     /* sort key of the order of execution: later than that of every dependency */
} wg__unit;

/* The right operand of products, a matrix over a source, that is packed ahead of them. */
typedef struct wg__pack {
    uint32_t root;
    wg__pack_key key;
    uint32_t users, first_unit;
    enum { WG__PACK_NONE, WG__PACK_BLOCK, WG__PACK_CACHED } where; /* not at all, for one run, from run to run */
    size_t bytes;
    uint32_t slot;
    int64_t offset; /* bytes in the slot */
} wg__pack;

typedef struct wg__planner {
    wg_tape *tape;
    wg__plan *plan;
    const struct wg__request *request;
    wg__arena *arena;   /* for later passes: rewound when planning ends */
    wg__arena *scratch; /* for the current pass: released when it ends */
    unsigned passes;    /* WG__PASS_* that are on */
    uint32_t n_forward; /* nodes of the recorded program; gradient nodes follow */
    uint32_t *grads;    /* differentiate, until outputs: [request->n_x] gradients; 0: none */
    bool rewritten;     /* rewrite: nodes of the recorded program have changed */

    uint32_t n;      /* nodes */
    uint16_t *flags; /* [n] */
    uint32_t *uses;  /* liveness: [n] live operands that name it */
    bool live_known; /* liveness has run */
    bool lowered;    /* lower has run */
    bool remat;      /* liveness: some live nodes are rematerialized */

    struct {              /* layout, alias */
        uint32_t *root;   /* [n] the node whose storage it is a view of; itself, if it is no view */
        wg_layout **view; /* [n] strides over the root's storage; NULL: contiguous */
        uint32_t *owner;  /* [n] of roots: the node whose storage contains it: itself, or a concatenation */
        int64_t *shift;   /* [n] of roots: elements from the owner's start, if contiguous there */
    } storage;

    struct {                /* fuse, until lower */
        uint32_t *of;       /* [n] the head of its chain, one of its nodes; 0: in no chain */
        uint64_t *earliest; /* [n] of heads */
        uint16_t *size;     /* [n] of heads: members */
    } groups;

    struct {             /* merge, lower, share_weight */
        uint32_t *of;    /* [n] the unit that computes it, members of chains included */
        wg__unit *list;  /* [n] entry 0 is reserved */
        uint32_t n, cap; /* n: one past the last id */
        uint32_t *members;
        uint32_t n_members, cap_members;
    } units;

    struct {                /* order, share_weight, schedule */
        uint32_t *sequence; /* [n] units in order of execution */
        uint32_t n;
        uint32_t *stage;  /* [units] from 1: units of one stage are independent, unless they share ... */
        uint32_t *serial; /* [units] ... a serial group, which one thread runs in sequence; 0: none */
        uint32_t n_stages;
    } schedule;

    struct {             /* pack */
        wg__pack *list;  /* [n] sorted by root; entry 0 is reserved */
        uint32_t n;      /* one past the last */
        uint32_t *first; /* [nodes] of roots: their first pack */
    } packs;

    struct {                    /* place */
        uint32_t *slot;         /* [n] of owners; 0: the block */
        int64_t *offset;        /* [n] of owners: bytes in the slot */
        int64_t *copies;        /* bytes in the block of the contiguous copies that kernels need, in order of use */
        uint32_t *output_slot;  /* [n_outputs] where outputs without a place of their own are stored */
        int64_t *output_offset; /* [n_outputs] */
    } places;
} wg__planner;

/* ---- the passes, in order (pipeline.c) ---- */

bool wg__plan_rewrite(wg__planner *p);
bool wg__plan_recompute(wg__planner *p);
bool wg__plan_liveness(wg__planner *p);
bool wg__plan_residuals(wg__planner *p);
bool wg__plan_layout(wg__planner *p);
bool wg__plan_merge(wg__planner *p);
bool wg__plan_fuse(wg__planner *p);
bool wg__plan_lower(wg__planner *p);
bool wg__plan_narrow(wg__planner *p);
bool wg__plan_alias(wg__planner *p);
bool wg__plan_order(wg__planner *p);
bool wg__plan_share_weight(wg__planner *p);
bool wg__plan_schedule(wg__planner *p);
bool wg__plan_pack(wg__planner *p);
bool wg__plan_place(wg__planner *p);
bool wg__plan_emit(wg__planner *p);

/* ---- query.c: nodes and their storage ---- */

static inline wg__node *wg__node_at(const wg__planner *p, uint32_t id) { return &p->tape->nodes[id]; }
static inline const wg_op *wg__op_at(const wg__planner *p, uint32_t id)
{
    return wg__op_of(p->tape, wg__node_at(p, id));
}
static inline const wg_shape *wg__shape_at(const wg__planner *p, uint32_t id)
{
    return wg__shape_of_node(p->tape, wg__node_at(p, id));
}
/* A parameter in bf16, or rows of one. */
static inline bool wg__is_bf16(const wg__planner *p, uint32_t id) { return wg__node_at(p, id)->dtype == WG_BF16; }
/* Whether the memory of a value holds bf16. */
static inline bool wg__is_narrow(const wg__planner *p, uint32_t id)
{
    if (!p->lowered) return false; /* the first passes have no roots and flags */
    const uint32_t root = p->storage.root[id];
    return (p->flags[root] & WG__NARROW) || wg__is_bf16(p, root);
}
/* Bytes of an element in memory, and of all. */
static inline int64_t wg__element_of(const wg__planner *p, uint32_t id)
{
    return wg__is_narrow(p, id) ? 2 : (int64_t)wg_dtype_size((wg_dtype)wg__node_at(p, id)->dtype);
}
static inline int64_t wg__bytes_of(const wg__planner *p, uint32_t id)
{
    return wg__numel_of(p->tape, wg__node_at(p, id)) * wg__element_of(p, id);
}
/* Bytes of its storage: of a copy for a view those of the whole operand. */
static inline int64_t wg__room_of(const wg__planner *p, uint32_t id)
{
    if (!(p->flags[id] & WG__VIEW_COPY)) return wg__bytes_of(p, id);
    const uint32_t whole = wg__inputs(p->tape, wg__node_at(p, id))[0];
    return wg__numel_of(p->tape, wg__node_at(p, whole)) * wg__element_of(p, id);
}
/* A node that no unit computes: a leaf, a value of an earlier run, a constant. */
static inline bool wg__is_source(const wg__planner *p, uint32_t id)
{
    const wg__node *node = wg__node_at(p, id);
    return !node->op || (node->flags & WG__NODE_VALUE) || (p->flags[id] & WG__CONSTANT);
}
/* A node that occupies no memory of the block, before layout marks constants. */
static inline bool wg__is_given(const wg__planner *p, uint32_t id)
{
    const wg__node *node = wg__node_at(p, id);
    return !node->op || (node->flags & WG__NODE_VALUE) || wg__op_is(p->tape, node, p->tape->structural->fill);
}
/* A node that can be a step of a chain. */
static inline bool wg__is_step(const wg__planner *p, uint32_t id)
{
    return (p->flags[id] & WG__SLICE_COPY) || wg__op_at(p, id)->kind == WG_KIND_POINTWISE;
}
static inline int wg__compare(int64_t a, int64_t b) { return a < b ? -1 : a > b; }
int wg__by_id(const void *a, const void *b); /* orders uint32_t, for qsort */

wg_layout wg__contiguous_layout(const wg_shape *shape);
bool wg__is_contiguous(const wg_layout *layout, const wg_shape *shape);
/* The strides of a node over its owner's storage; the offset counts elements from the root's start. */
wg_layout wg__layout_of(const wg__planner *p, uint32_t node);
/* The node whose storage contains that of `root`, and the elements from its start. */
uint32_t wg__owner_of(const wg__planner *p, uint32_t root, int64_t *shift);
/* The node that a rematerialized one copies; the node itself if it is no copy. */
uint32_t wg__original_of(const wg__planner *p, uint32_t node);
/* Whether operand k must be copied because the kernel of the node reads contiguous operands only. */
bool wg__needs_copy(const wg__planner *p, uint32_t node, uint32_t k);
/* Whether a unit leaves the output, contiguous, in storage of its own. */
bool wg__output_is_direct(const wg__planner *p, const wg__output *output);
/* Whether a piece of a concatenation is written in place, `offset` elements from its start; whether all pieces are. */
bool wg__piece_is_in_place(const wg__planner *p, uint32_t piece, uint32_t whole, int64_t offset);
bool wg__concat_is_free(const wg__planner *p, uint32_t whole);

/* How a sum reads a contiguous operand: `count` adjacent lines of `line` elements each, repeatedly. */
typedef struct wg__lines {
    int64_t count, line;
} wg__lines;
/* Whether the node, a sum, reads its operand by lines. */
bool wg__lines_of_sum(const wg_tape *tape, const wg__node *node, wg__lines *lines);

/* ---- unit.c: units ---- */

uint32_t wg__unit_new(wg__planner *p, wg__unit unit); /* 0: out of memory, or the reserved first unit */
bool wg__member_add(wg__planner *p, uint32_t node);
/* The nodes of a unit; STORE: none. */
const uint32_t *wg__unit_nodes(const wg__planner *p, const wg__unit *unit, uint32_t *count);
/* Contiguous copies of operands that the kernel of a unit needs. */
uint32_t wg__copies_of(const wg__planner *p, const wg__unit *unit);
/* Calls fn for every unit that `unit` depends on, possibly more than once. */
void wg__each_dependency(const wg__planner *p, uint32_t unit, void (*fn)(void *context, uint32_t dependency),
                         void *context);

/* ---- product.c: products as the kernels see them ---- */

/* Whether the sum that a merged term belongs to reads it transposed: (A B)^T = B^T A^T. */
bool wg__term_is_transposed(const wg__planner *p, uint32_t term);
/* The product of a unit, without addresses. segments: room for unit->count. */
void wg__product_describe(const wg__planner *p, const wg__unit *unit, wg__product *product, wg__segment *segments);
/* A parameter, and no buffer. */
bool wg__is_weight(const wg__planner *p, uint32_t root);

/* Whether the right operand of a product can be packed ahead and the product's kernel wants it packed. Then fills the
 * product, its segment, and root, key and bytes of the pack. */
bool wg__packs_b(const wg__planner *p, const wg__unit *unit, wg__product *product, wg__segment *segment,
                 wg__pack *pack);
int wg__compare_packs(const wg__pack *a, const wg__pack *b); /* 0: the same matrix */
/* The packed right operand of a product unit; NULL: it is not packed. */
wg__pack *wg__pack_find(const wg__planner *p, const wg__unit *unit);

#endif
