/* Internal. A plan: the instructions of one step, and how their addresses are bound when it runs. */
#ifndef WG_PLAN_H
#define WG_PLAN_H

#include "../tape/graph.h"

typedef enum wg__instr_kind { WG__INSTR_KERNEL, WG__INSTR_CHAIN, WG__INSTR_PRODUCT, WG__INSTR_PACK } wg__instr_kind;

typedef struct wg__instr {
    wg__instr_kind kind;
    bool assigns;    /* CHAIN, KERNEL: writes a buffer in place, unless an index was out of range */
    uint32_t node;   /* the node it computes, for reports */
    uint32_t packed; /* PACK: the packed weight in the cache that it fills; 0: memory of this run */
    int64_t tasks;
    size_t scratch;   /* bytes per task */
    wg_kernel kernel; /* KERNEL */
    wg_args *args;
    wg__chain *chain;     /* CHAIN */
    wg__product *product; /* PRODUCT; PACK: packed_b is the destination */
    const wg__product_kernels *kernels;
} wg__instr;

/* One task queue entry of a stage: a serial group of instructions, which one thread runs as one task; or one
 * instruction with all its tasks. */
typedef struct wg__item {
    uint32_t first, count; /* instructions */
    uint32_t first_task;   /* its number in the stage */
} wg__item;

/* Items between two barriers. They are independent of each other; threads take their tasks in order.
 *
 *     stage 1            stage 2                       stage 3
 *     item: gemm, 4 tasks   item: serial group c, d, e    ...
 *     item: chain, 2 tasks  item: gemm, 8 tasks
 *     ------ barrier ------ ------ barrier ------ */
typedef struct wg__stage {
    uint32_t first, count; /* items */
    uint32_t tasks;
    uint32_t taken, done; /* tasks of the current run; atomic */
} wg__stage;

/* An address that is known when a run begins: *where = base of the slot + offset. */
typedef struct wg__fixup {
    void **where;
    int64_t offset;
} wg__fixup;

typedef enum wg__slot_kind {
    WG__SLOT_BLOCK,  /* the block that holds the values of a run; always slot 0 */
    WG__SLOT_LEAF,   /* a leaf's data */
    WG__SLOT_VALUE,  /* a node that an earlier run evaluated */
    WG__SLOT_PACKED, /* a packed weight in the cache */
    WG__SLOT_OUTPUT, /* memory of its own for a value that can be read after the run */
    WG__SLOT_TARGET  /* a parameter's gradient or a buffer's value; a staging area if its old contents are needed */
} wg__slot_kind;

typedef struct wg__slot {
    wg__slot_kind kind;
    uint32_t index; /* LEAF: in leaves; VALUE: in values; PACKED: in the cache; OUTPUT, TARGET: in outputs */
    char *base;     /* in the last run */
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
    void *memory; /* where the run leaves the value */
} wg__output;

/* A gradient, and the instruction from which on nothing uses the memory of its parameter, to which it was written;
 * n_instrs + 1: the end of the run writes it, or copies it to other outputs. */
typedef struct wg__final {
    uint32_t end, output;
} wg__final;

/* The origin of an instruction, for error messages and dumps. */
typedef struct wg__origin {
    uint32_t op, scope, forward_op; /* forward_op: of a gradient node; 0: none */
    uint32_t shape;                 /* of the value that it computes; interned */
    wg_dtype dtype;
} wg__origin;

/* Bytes of values. */
typedef struct wg__scope_bytes {
    uint32_t scope;
    int64_t bytes;
} wg__scope_bytes;

typedef struct wg__plan wg__plan;
struct wg__plan {
    wg__plan *next;   /* in the cache, most recently used first */
    bool repeats;     /* its program was seen more than once */
    wg__arena memory; /* of everything below */

    /* The key, compared in full. */
    uint64_t hash;
    wg__node *nodes;
    uint32_t *spill, *request;
    uint32_t n_nodes, n_spill, n_request;

    /* The program. */
    wg__instr *instrs;
    wg__origin *origins; /* [n_instrs] */
    uint32_t n_instrs;
    uint32_t n_packs; /* the first n_packs instructions pack weights */
    wg__item *items;
    wg__stage *stages;
    uint32_t n_items, n_stages;
    bool parallel; /* some stage has several tasks */

    /* Binding. */
    wg__slot *slots;
    wg__fixup *fixups; /* grouped by slot */
    uint32_t n_slots, cap_slots, n_fixups;
    wg__output *outputs;
    uint32_t n_outputs;
    wg__final *finals; /* [n_finals], by end */
    uint32_t n_finals;
    uint32_t *params; /* parameter leaves that it reads; a run checks their versions */
    uint32_t n_params;
    size_t block_bytes, scratch_bytes, output_bytes, packed_bytes;
    wg__scope_bytes *peak; /* by scope, the values of the block that are live when most bytes are */
    uint32_t n_peak;
    bool bound; /* by an earlier run */
};

/* The pass pack allocates room for every slot that may be needed. */
static inline uint32_t wg__slot_new(wg__plan *plan, wg__slot slot)
{
    assert(plan->n_slots < plan->cap_slots);
    plan->slots[plan->n_slots] = slot;
    return plan->n_slots++;
}

#endif
