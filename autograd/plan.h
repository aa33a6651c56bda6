/* Internal. What the planner's passes work on, and what they leave behind.
 *
 * A pass reads and writes arrays indexed by node. The order: need (drop what nobody wants), keep (less for the way
 * back), layout (views become strides), merge (sums of products), fuse (pointwise chains), join (pieces in place),
 * order (units in the order of execution), rows (products of a large weight together), side (what runs side by side),
 * pack (weights once for all their products), place (one block of memory), emit (instructions). The passes attention
 * and lookup come before differentiation (rewrite.c), remat with it (remat.c), again after it (plan_again.c). */
#ifndef WG_PLAN_H
#define WG_PLAN_H

#include "graph.h"

/* ---- what is left behind: the program of a step ------------------------------------------------------------- */

typedef enum wg__instr_kind { WG__INSTR_KERNEL, WG__INSTR_CHAIN, WG__INSTR_PRODUCT, WG__INSTR_PACK } wg__instr_kind;

typedef struct wg__instr {
    wg__instr_kind kind;
    bool assigns;  /* CHAIN: writes a buffer where it stands, unless an index was bad */
    uint32_t node; /* what it computes, for reports */
    uint32_t held; /* PACK: + 1, what it packs into, if that lasts from run to run */
    int64_t tasks;
    size_t scratch;   /* bytes a task needs */
    wg_kernel kernel; /* KERNEL */
    wg_args *args;
    wg__chain *chain;     /* CHAIN */
    wg__product *product; /* PRODUCT; PACK: packed_b is where to */
    const wg__product_kernels *kernels;
} wg__instr;

/* Instructions that one thread does in a row, as one task; or one instruction with its tasks. */
typedef struct wg__item {
    uint32_t first, count; /* instructions */
    uint32_t first_task;   /* its number in the phase */
} wg__item;

/* What runs between two waits: items that do not wait for each other, whose tasks the threads take as they come. */
typedef struct wg__phase {
    uint32_t first, count; /* items */
    uint32_t tasks;
    uint32_t taken, done; /* tasks, of the run; atomic */
} wg__phase;

/* An address that is only known when a run begins: *where = base of its slot + offset. */
typedef struct wg__fixup {
    void **where;
    int64_t offset;
} wg__fixup;

typedef enum wg__slot_kind {
    WG__SLOT_BLOCK,  /* the block of memory plans run in */
    WG__SLOT_LEAF,   /* a leaf's data */
    WG__SLOT_VALUE,  /* a node that was evaluated by an earlier run */
    WG__SLOT_HELD,   /* a parameter's packed form */
    WG__SLOT_OUTPUT, /* memory for a value that will be read */
    WG__SLOT_HOME    /* where a parameter keeps its gradient, a buffer its value; aside if what is there counts */
} wg__slot_kind;

typedef struct wg__slot {
    wg__slot_kind kind;
    uint32_t index; /* LEAF: in leaves; VALUE: in values; HELD: in held; OUTPUT, HOME: in outputs */
    char *base;     /* at the last run */
    uint32_t first_fixup, n_fixups;
} wg__slot;

typedef enum wg__output_kind { WG__OUTPUT_VALUE, WG__OUTPUT_GRAD, WG__OUTPUT_ASSIGN } wg__output_kind;

typedef struct wg__output {
    wg__output_kind kind;
    uint32_t node;   /* whose value it is */
    uint32_t target; /* GRAD: the parameter's node; ASSIGN: index in assigns */
    wg_dtype dtype;
    int64_t numel;
    size_t bytes;
    void *memory; /* where the run leaves it */
} wg__output;

struct wg__plan {
    wg__plan *next;
    wg__arena memory; /* everything below */
    uint64_t hash;    /* the key, compared in full: nodes, operands, request */
    wg__node *nodes;
    uint32_t *spill, *request;
    uint32_t n_nodes, n_spill, n_request;

    wg__instr *instrs;
    uint32_t n_instrs;
    wg__item *items;
    wg__phase *phases;
    uint32_t n_items, n_phases;
    wg__fixup *fixups;
    uint32_t n_fixups;
    wg__slot *slots;
    uint32_t n_slots;
    wg__output *outputs;
    uint32_t n_outputs;
    uint32_t *params; /* parameter leaves that are read: their versions are checked */
    uint32_t n_params;
    uint32_t n_packs; /* the first instructions: operands that are packed ahead */
    size_t block_bytes, scratch_bytes, output_bytes, held_bytes;
    bool parallel;    /* some phase has several tasks */
    bool shown;       /* addresses were bound at least once */
    uint32_t *origin; /* [n_instrs] op, scope and forward node of each, for reports: three words each */
};

/* ---- while planning ------------------------------------------------------------------------------------------ */

enum {
    WG__NEEDED = 1,
    WG__MATERIAL = 2, /* pointwise: stands in memory, somebody outside its chain reads it */
    WG__DENSE = 4,    /* somebody reads it who wants it dense, or through a view */
    WG__ABSORBED = 8, /* part of a merged sum of products: has no value of its own */
    WG__OUTPUT = 16,
    WG__VIEW_COPY = 32, /* a view that strides cannot express: the operand is copied */
    WG__CONSTANT = 64,  /* one number for all elements, known now */
    WG__PART = 128,     /* a slice that a chain copies, since the way back reads no more of the whole */
    WG__LATE = 256      /* of the way back, though it waits for nothing there */
};

typedef enum wg__unit_kind {
    WG__UNIT_NODE, /* one node by its kernel */
    WG__UNIT_CHAIN,
    WG__UNIT_PRODUCT, /* one product, or several with one sum */
    WG__UNIT_ROWS,    /* products of one weight, each with a result of its own */
    WG__UNIT_COPY,    /* operand of a VIEW_COPY node, dense */
    WG__UNIT_JOIN,    /* a concatenation: the pieces that are not written in place */
    WG__UNIT_STORE    /* a view, leaf or constant that is wanted, into its output */
} wg__unit_kind;

typedef struct wg__work {
    wg__unit_kind kind;
    bool accumulate;       /* PRODUCT: adds to what an earlier unit left */
    uint32_t node;         /* the value it makes */
    uint32_t first, count; /* CHAIN, PRODUCT, ROWS: members in the list */
    uint64_t when;         /* order of execution */
    uint32_t next;
} wg__work;

/* The right operand of products that is packed ahead: a matrix over a source. */
typedef struct wg__pack {
    uint32_t root;
    wg__pack_key key;
    uint32_t users, first_unit;
    enum { WG__PACK_NOT, WG__PACK_BLOCK, WG__PACK_HELD } where; /* nowhere, for this run, from run to run */
    size_t bytes;
    uint32_t slot;
    int64_t offset; /* bytes in the slot */
} wg__pack;

typedef struct wg__planner {
    wg_tape *tape;
    wg__plan *plan;
    wg__arena *arena; /* for what later passes read: gone when planning ends */
    wg__arena *own;   /* for what only the pass at hand reads: gone when it ends */
    unsigned passes;
    bool again;       /* some nodes compute again what others have computed */
    uint32_t n;       /* nodes */
    uint16_t *state;  /* [n] */
    uint32_t *root;   /* [n] the node whose memory it looks at: itself, or of a view the operand's root */
    wg_layout **view; /* [n] strides over the owner's memory; NULL: dense */
    uint32_t *uses;   /* [n] how many needed operands name it */
    uint32_t *unit;   /* [n] + 1: the unit that makes it; of chain members, too */
    uint32_t *owner;  /* [n] of roots: whose storage it lies in: itself or the concatenation it is a piece of */
    int64_t *shift;   /* [n] of roots: elements from the owner's start, for pieces that are dense there */
    uint32_t *slot;   /* [n] of owners: slot + 1 */
    int64_t *offset;  /* [n] of owners: bytes in the slot */
    wg__work *units;
    uint32_t n_units, cap_units;
    uint32_t *members; /* of chains and sums */
    uint32_t n_members, cap_members;
    uint32_t *sequence; /* [n_units] units in order */
    uint32_t *stage;    /* [n_units] from 1: units of one stage do not wait for each other, unless they share ... */
    uint32_t *strand;   /* [n_units] ... a strand: those run one after the other. 0: none */
    uint32_t n_stages;
    int64_t *temps;      /* bytes in the block of the dense copies that kernels need, in the order of their use */
    uint32_t *stored_in; /* [n_outputs] the slot in which it is stored, ... */
    int64_t *stored_at;  /* ... and where, bytes */
    wg__pack *packs;     /* operands that are packed ahead */
    uint32_t n_packs;
    uint32_t *pack_at; /* [n] of sources: where their packs begin, + 1 */
} wg__planner;

/* Before there is a planner: it makes nodes. */
bool wg__plan_again(wg_tape *tape, wg__plan *plan);
bool wg__plan_need(wg__planner *p);
bool wg__plan_keep(wg__planner *p);
bool wg__plan_layout(wg__planner *p);
bool wg__plan_merge(wg__planner *p);
bool wg__plan_fuse(wg__planner *p);
bool wg__plan_join(wg__planner *p);
bool wg__plan_order(wg__planner *p);
bool wg__plan_rows(wg__planner *p);
bool wg__plan_side(wg__planner *p);
bool wg__plan_pack(wg__planner *p);
bool wg__plan_place(wg__planner *p);
bool wg__plan_emit(wg__planner *p);

/* Sums of lines: each of `line` neighbours in memory, `count` lines side by side, and so again and again. */
typedef struct wg__lines {
    int64_t count, line;
} wg__lines;
/* Whether the node, a sum, takes a dense operand by lines. */
bool wg__lines_of_sum(const wg_tape *tape, const wg__node *node, wg__lines *lines);
/* n zeroed items; NULL when memory is out. */
void *wg__plan_array(wg__arena *arena, uint64_t n, size_t size);
uint32_t wg__unit_new(wg__planner *p, wg__work unit); /* UINT32_MAX when memory is out */
bool wg__member_add(wg__planner *p, uint32_t node);
/* The strides of a node over its owner's memory (offset in elements from the root's start). */
wg_layout wg__layout_of(const wg__planner *p, uint32_t node);
wg_layout wg__dense_layout(const wg_shape *shape);
/* Whether a kernel can't read operand k of node as it stands. */
bool wg__needs_copy(const wg__planner *p, uint32_t node, uint32_t k);
/* How many operands of a unit are copied, dense, for its kernel. */
uint32_t wg__copies_of(const wg__planner *p, const wg__work *unit);
/* The node whose storage `root` lies in, and where: elements from its start. */
uint32_t wg__owner_of(const wg__planner *p, uint32_t root, int64_t *shift);
/* The product of a unit as the kernels see it, without addresses; segments go to `segments`. */
void wg__product_describe(const wg__planner *p, const wg__work *unit, wg__product *product, wg__segment *segments);
/* Whether the right operand of a product unit is one that can be packed ahead, and the product wants it; then the
 * product as described, and which matrix that is. */
bool wg__packs_b(const wg__planner *p, const wg__work *unit, wg__product *product, wg__segment *segment,
                 wg__pack *pack);
int wg__compare_packs(const wg__pack *a, const wg__pack *b); /* 0: the same matrix */
static inline int wg__compare(int64_t a, int64_t b) { return a < b ? -1 : a > b; }
/* Calls fn for every unit that `unit` waits for, perhaps more than once. */
void wg__each_wait(const wg__planner *p, uint32_t unit, void (*fn)(void *context, uint32_t before), void *context);
/* The shared right operand of a product unit, or NULL. */
wg__pack *wg__pack_find(const wg__planner *p, const wg__work *unit);
/* Whether the piece of a concatenation is written in place, elements `offset` from its start; whether all are. */
bool wg__lies_at(const wg__planner *p, uint32_t piece, uint32_t whole, int64_t offset);
bool wg__joins_for_nothing(const wg__planner *p, uint32_t whole);
uint32_t wg__slot_new(wg__plan *plan, wg__slot slot);
bool wg__output_is_plain(const wg__planner *p, const wg__output *output);
bool wg__is_dense(const wg_layout *layout, const wg_shape *shape);
/* A node that no unit makes: a leaf, a value of an earlier run, a constant. */
static inline bool wg__is_source(const wg__planner *p, uint32_t id)
{
    const wg__node *node = &p->tape->nodes[id];
    return !node->op || (node->flags & WG__NODE_VALUE) || (p->state[id] & WG__CONSTANT);
}
/* A node that can be a step of a chain. */
static inline bool wg__is_step(const wg__planner *p, uint32_t id)
{
    return (p->state[id] & WG__PART) || p->tape->ops[p->tape->nodes[id].op]->kind == WG_KIND_POINTWISE;
}
static inline int64_t wg__bytes_of(const wg__planner *p, uint32_t id)
{
    const wg__node *node = &p->tape->nodes[id];
    return p->tape->shapes[node->shape].numel * (int64_t)wg_dtype_size((wg_dtype)node->dtype);
}
static inline const wg_op *wg__plan_op(const wg__planner *p, uint32_t id)
{
    return p->tape->ops[p->tape->nodes[id].op];
}

/* ---- plan_pack.c: packed forms of parameters, kept while their version stands ---- */

void wg__held_release(wg_tape *tape, uint32_t held); /* one plan fewer uses it */
bool wg__held_is_fresh(const wg_tape *tape, uint32_t held);
void wg__held_packed(wg_tape *tape, uint32_t held);

/* ---- run.c ---- */

/* Memory for gradients that are added to those that there are now, and for assigned values beside the old ones. */
size_t wg__aside_bytes(wg_tape *tape, const wg__plan *plan);
/* Binds addresses, runs the instructions, reports. */
wg_status wg__run(wg_tape *tape, wg__plan *plan);
/* The work of one instruction's task. */
void wg__instr_run(const wg__instr *instr, int64_t task, wg_run *run, void *scratch);

/* ---- profile.c ---- */

/* Runs the plan on the calling thread and adds up the time of each instruction. */
void wg__profile_walk(wg_tape *tape, wg__plan *plan, wg_run *run);

/* ---- pool.c ---- */

/* Calls work(context, thread) on the threads of the pool at once, thread 0 being the caller; on another thread perhaps
 * not at all, or twice, if the machine does not let it run in time. False if the pool is in use by another tape:
 * nothing was called. */
bool wg__pool_run(wg_pool *pool, void (*work)(void *context, int thread), void *context);
/* Waits until *value is `wanted`: spins briefly, then gives the processor away. */
void wg__pool_wait(const uint32_t *value, uint32_t wanted);

#endif
