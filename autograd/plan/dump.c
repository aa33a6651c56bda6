/* Dumps of the program between passes: a line per live node, then, once there are units, a line per unit in order of
 * execution, and after emit the stages with their instructions. Only arrays that are filled already are shown. */
#include "dump.h"

#include <string.h>

#include "../base/text.h"

/* ---- which passes -------------------------------------------------------------------------------------------- */

const char *wg__dump_next(const char *list, size_t *length)
{
    list += strspn(list, ", ");
    *length = strcspn(list, ", ");
    return *length ? list : NULL;
}

bool wg__dump_names(const char *name, size_t length, const char *pass)
{
    if (length == 3 && !memcmp(name, "all", 3)) return true;
    return length == 6 + strlen(pass) && !memcmp(name, "after-", 6) && !memcmp(name + 6, pass, length - 6);
}

static bool is_wanted(const wg_tape *tape, const char *pass)
{
    size_t length;
    for (const char *at = tape->dump.passes; (at = wg__dump_next(at, &length)); at += length)
        if (wg__dump_names(at, length, pass)) return true;
    return false;
}

/* ---- nodes --------------------------------------------------------------------------------------------------- */

const char *wg__node_name(const wg_tape *tape, const wg__node *node)
{
    if (node->op) return wg__op_of(tape, node)->name;
    return node->leaf == WG__LEAF_PARAM ? wg_param_name(tape->leaves[node->slot].param) : "data";
}

void wg__print_node(const wg_tape *tape, uint32_t id, FILE *out)
{
    const wg__node *node = &tape->nodes[id];
    const uint32_t *in = wg__inputs(tape, node);
    char shape[128];
    fprintf(out, "%%%u = ", id);
    wg__print_text(wg__node_name(tape, node), out);
    for (uint32_t k = 0; k < node->n_in; k++)
        if (in[k])
            fprintf(out, "%s%%%u", k ? ", " : " ", in[k]);
        else
            fprintf(out, "%snone", k ? ", " : " ");
    fprintf(out, " : %s %s", wg_dtype_name((wg_dtype)node->dtype),
            wg_shape_text(wg__shape_of_node(tape, node), shape, sizeof shape));
}

static void print_flags(const wg__planner *p, uint32_t id, FILE *out)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{WG__STORED, "stored"},         {WG__CONTIGUOUS, "contiguous"}, {WG__MERGED, "merged"},
                 {WG__OUTPUT, "output"},         {WG__VIEW_COPY, "view-copy"},   {WG__CONSTANT, "constant"},
                 {WG__SLICE_COPY, "slice-copy"}, {WG__DEFERRED, "deferred"},     {WG__NARROW, "bf16"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (p->flags[id] & names[i].flag) fprintf(out, " %s", names[i].name);
}

static void print_storage(const wg__planner *p, uint32_t id, FILE *out)
{
    const wg_layout *view = p->storage.view[id];
    int64_t shift;
    if (!p->storage.root || !p->storage.root[id]) return;
    if (p->storage.root[id] != id) fprintf(out, " view-of %%%u", p->storage.root[id]);
    if (view) {
        fprintf(out, " strides");
        for (int i = 0; i < wg__shape_at(p, id)->rank; i++)
            fprintf(out, "%c%lld", i ? ',' : ' ', (long long)view->stride[i]);
        if (view->offset) fprintf(out, " offset %lld", (long long)view->offset);
    }
    const uint32_t owner = wg__owner_of(p, p->storage.root[id], &shift);
    if (p->storage.root[id] == id && owner != id) fprintf(out, " inside %%%u at %lld", owner, (long long)shift);
}

static void print_node(const wg__planner *p, uint32_t id, FILE *out)
{
    const wg__node *node = wg__node_at(p, id);
    fputs("  ", out);
    wg__print_node(p->tape, id, out);
    if (node->flags & WG__NODE_REMAT)
        fprintf(out, " rematerializes %%%u", node->forward);
    else if (node->flags & WG__NODE_RECOMPUTED)
        fprintf(out, " recomputes %%%u", node->forward);
    else if (node->forward)
        fprintf(out, " gradient-of %%%u", node->forward);
    if (p->n) {
        print_flags(p, id, out);
        print_storage(p, id, out);
        if (p->groups.of && p->groups.of[id]) fprintf(out, " group %%%u", p->groups.of[id]);
        if (p->units.of[id]) fprintf(out, " unit %u", p->units.of[id]);
    }
    fputc('\n', out);
}

/* ---- units --------------------------------------------------------------------------------------------------- */

static void print_place(const wg__planner *p, uint32_t id, FILE *out)
{
    int64_t shift;
    if (!p->places.slot || !(p->flags[id] & WG__LIVE) || p->storage.root[id] != id) return;
    const uint32_t owner = wg__owner_of(p, id, &shift), slot = p->places.slot[owner];
    const int64_t size = wg__element_of(p, id);
    if (slot)
        fprintf(out, " %%%u -> slot %u", id, slot);
    else
        fprintf(out, " %%%u -> block+%lld", id, (long long)(p->places.offset[owner] + shift * size));
}

static void print_unit(const wg__planner *p, uint32_t id, FILE *out)
{
    static const char *const kinds[] = {"kernel", "chain", "product", "products", "copy", "concat", "store"};
    const wg__unit *unit = &p->units.list[id];
    uint32_t count;
    const uint32_t *nodes = wg__unit_nodes(p, unit, &count);
    fprintf(out, "  unit %u: %s", id, kinds[unit->kind]);
    if (unit->kind == WG__UNIT_STORE) fprintf(out, " output %u", unit->node);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, "%s%%%u ", i ? ", " : " ", nodes[i]);
        wg__print_text(wg__op_at(p, nodes[i])->name, out);
    }
    if (unit->kind == WG__UNIT_PRODUCT && (count > 1 || nodes[0] != unit->node))
        fprintf(out, " -> sum %%%u%s", unit->node, unit->accumulate ? ", added" : "");
    if (p->schedule.stage) {
        fprintf(out, "; stage %u", p->schedule.stage[id]);
        if (p->schedule.serial[id]) fprintf(out, " serial %u", p->schedule.serial[id]);
    }
    if (p->places.slot && count) {
        fputc(';', out);
        if (unit->kind == WG__UNIT_CHAIN || unit->kind == WG__UNIT_PRODUCTS) {
            for (uint32_t i = 0; i < count; i++)
                if (unit->kind != WG__UNIT_CHAIN || (p->flags[nodes[i]] & WG__STORED))
                    print_place(p, nodes[i], out);
        } else {
            print_place(p, unit->node, out);
        }
    }
    fputc('\n', out);
}

static void print_units(const wg__planner *p, FILE *out)
{
    if (p->schedule.sequence)
        for (uint32_t i = 0; i < p->schedule.n; i++) print_unit(p, p->schedule.sequence[i], out);
    else
        for (uint32_t i = 1; i < p->units.n; i++) print_unit(p, i, out);
}

/* ---- stages -------------------------------------------------------------------------------------------------- */

static void print_stages(const wg__planner *p, FILE *out)
{
    static const char *const kinds[] = {"kernel", "chain", "product", "pack"};
    const wg__plan *plan = p->plan;
    for (uint32_t s = 0; s < plan->n_stages; s++) {
        const wg__stage *stage = &plan->stages[s];
        fprintf(out, "  stage %u: %u task%s\n", s + 1, stage->tasks, stage->tasks == 1 ? "" : "s");
        for (uint32_t i = 0; i < stage->count; i++) {
            const wg__item *item = &plan->items[stage->first + i];
            fprintf(out, "    %s", item->count > 1 ? "serial:" : "");
            for (uint32_t k = 0; k < item->count; k++) {
                const wg__instr *instr = &plan->instrs[item->first + k];
                fprintf(out, "%s%s of %%%u", k ? "; " : " ", kinds[instr->kind], instr->node);
                if (instr->tasks > 1) fprintf(out, " in %lld tasks", (long long)instr->tasks);
            }
            fputc('\n', out);
        }
    }
    fprintf(out, "  block %zu bytes, results %zu bytes, packed weights %zu bytes\n", plan->block_bytes,
            plan->output_bytes, plan->packed_bytes);
}

void wg__dump_after(const wg__planner *p, const char *pass)
{
    FILE *out = p->tape->dump.out;
    if (!out || !is_wanted(p->tape, pass)) return;
    fprintf(out, "after %s:\n", pass);
    const uint32_t n = p->n ? p->n : p->tape->n_nodes;
    for (uint32_t id = 1; id < n; id++)
        if (!p->n || !p->live_known || (p->flags[id] & WG__LIVE)) print_node(p, id, out);
    if (p->units.n > 1) print_units(p, out);
    if (p->plan->n_stages) print_stages(p, out);
}
