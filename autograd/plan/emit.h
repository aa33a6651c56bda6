/* Internal. State and helpers of the files that emit instructions. */
#ifndef WG_EMIT_H
#define WG_EMIT_H

#include "planner.h"

/* When an instruction runs: its stage, its step in the stage (a kernel runs after the copies of its operands), its
 * serial group. */
typedef struct wg__tag {
    uint32_t stage, step, serial, instr;
} wg__tag;

enum { WG__NO_STAGE = UINT32_MAX };

typedef struct wg__emit {
    wg__planner *p;
    wg__plan *plan;
    wg_tape *tape;
    uint32_t *source_slot; /* [n] of sources; 0: not bound yet */
    uint32_t *last_use;    /* [n_outputs] the stage of the last unit that uses its TARGET slot, or WG__NO_STAGE */
    uint32_t *at;          /* [n] while a chain is emitted: the load or register of a node */
    uint32_t next_copy;
    wg__tag now; /* of the current unit; no stage after the last one */
    wg__tag *tags;
    wg__instr *instrs;
    uint32_t n_instrs, cap_instrs, cap_tags;
    wg__fixup *fixups;
    uint32_t *fixup_slots; /* [n_fixups] */
    uint32_t n_fixups, cap_fixups, cap_fixup_slots;
} wg__emit;

/* ---- emit_address.c ---- */

/* Whether the node is written straight to a buffer that is assigned. */
bool wg__emit_assigns(const wg__emit *e, uint32_t id);
/* When a run begins, *where = base of the slot + offset. */
bool wg__emit_fix(wg__emit *e, void **where, uint32_t slot, int64_t offset);
/* ... *where = address of the first element of the node, seen through its layout. */
bool wg__emit_bind(wg__emit *e, void **where, uint32_t node);
/* ... *where = address of element `at` of the storage of `root`, which a unit computes. */
bool wg__emit_bind_at(wg__emit *e, void **where, uint32_t root, int64_t at);
/* Appends the instruction, unless it has no tasks. */
bool wg__emit_instr(wg__emit *e, wg__instr instr);

/* ---- emit_product.c ---- */

bool wg__emit_packs(wg__emit *e); /* the first instructions of a plan */
bool wg__emit_product(wg__emit *e, const wg__unit *unit);

/* ---- emit_chain.c ---- */

bool wg__emit_chain(wg__emit *e, uint32_t unit);
/* A chain of one step that copies the value of `from` to the place in the storage of `whole` given by the layout. */
bool wg__emit_move(wg__emit *e, uint32_t from, uint32_t whole, const wg_layout *layout);

/* ---- emit_stages.c ---- */

/* Sorts the instructions into stages and the fixups by slot. */
bool wg__emit_finish(wg__emit *e);

#endif
