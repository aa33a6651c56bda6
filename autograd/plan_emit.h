/* Internal. What the makers of instructions share. */
#ifndef WG_PLAN_EMIT_H
#define WG_PLAN_EMIT_H

#include "plan.h"

/* When an instruction runs: its stage, the step in it (a kernel comes after the copies of its operands), its strand (0:
 * none). */
typedef struct wg__tag {
    uint32_t stage, step, strand, instr;
} wg__tag;

typedef struct wg__emit {
    wg__planner *p;
    wg__plan *plan;
    wg_tape *tape;
    uint32_t *leaf_slot; /* [n] of sources: slot + 1 */
    uint32_t next_temp;
    wg__tag now; /* of the unit that is emitted */
    wg__tag *tags;
    wg__instr *instrs;
    uint32_t n_instrs, cap_instrs, cap_tags;
    wg__fixup *fixups;
    uint32_t *fixup_slots; /* [n_fixups] */
    uint32_t n_fixups, cap_fixups, cap_fixup_slots;
    uint32_t *at; /* [n] while a chain is made: where a member's value is */
} wg__emit;

/* *where = base of slot + offset, when a run begins. */
bool wg__emit_fix(wg__emit *e, void **where, uint32_t slot, int64_t offset);
/* *where = the address of the first element of node, seen through its layout. */
bool wg__emit_bind(wg__emit *e, void **where, uint32_t node);
/* *where = the address of element `at` of the storage of root, a node that a unit makes. */
bool wg__emit_fix_in(wg__emit *e, void **where, uint32_t root, int64_t at);
/* Appends the instruction; one with nothing to do is left out. */
bool wg__emit_finish(wg__emit *e, wg__instr instr);

/* ---- plan_product.c ---- */

bool wg__emit_packs(wg__emit *e); /* the first instructions */
bool wg__emit_product(wg__emit *e, const wg__work *unit);

/* ---- plan_chain.c ---- */

bool wg__emit_chain(wg__emit *e, const wg__work *unit, uint32_t unit_id);
/* A chain of one step: the value of `from` moved to where `layout` says, in the storage of `whole`. */
bool wg__emit_move(wg__emit *e, uint32_t from, uint32_t whole, const wg_layout *layout);

#endif
