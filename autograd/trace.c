/* Dumps of a tape as text and as a graph, and of the plan that ran last. */
#include "engine.h"

#include <string.h>

#include "base/text.h"
#include "plan/dump.h"

wg_status wg_dump_text(const wg_tape *tape, FILE *out)
{
    if (!tape || !out) return WG_ERR_ARGUMENT;
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const wg__node *node = &tape->nodes[id];
        wg__scope_text scope;
        wg__print_node(tape, id, out);
        fputs(wg__scope_label(tape, node->scope, &scope), out);
        if (node->forward) fprintf(out, " gradient of %%%u", node->forward);
        fputc('\n', out);
    }
    return ferror(out) ? WG_ERR_IO : WG_OK;
}

/* The number of a leaf that has one: "0.5". Empty for other leaves. */
static void print_scalar(const wg_tape *tape, const wg__node *node, FILE *out)
{
    const void *number = tape->leaves[node->slot].data;
    if (wg__shape_of_node(tape, node)->rank > 0 || node->leaf != WG__LEAF_DATA) return;
    switch ((wg_dtype)node->dtype) {
    case WG_F32: fprintf(out, " %g", (double)*(const float *)number); break;
    case WG_F64: fprintf(out, " %g", *(const double *)number); break;
    case WG_I32: fprintf(out, " %d", (int)*(const int32_t *)number); break;
    case WG_BOOL: fputs(*(const bool *)number ? " true" : " false", out); break;
    default: break;
    }
}

/* Leaves: boxes; data in grey, with the number of a scalar; parameters blue, buffers dashed. Gradients: red. */
static void graph_node(const wg_tape *tape, uint32_t id, FILE *out)
{
    const wg__node *node = &tape->nodes[id];
    const wg_param *param = node->leaf == WG__LEAF_PARAM ? tape->leaves[node->slot].param : NULL;
    char shape[128];
    fprintf(out, "  n%u [label=\"", id);
    wg__print_quoted(wg__node_name(tape, node), out);
    if (!node->op) print_scalar(tape, node, out);
    fprintf(out, "\\n%%%u %s %s", id, wg_dtype_name((wg_dtype)node->dtype),
            wg_shape_text(wg__shape_of_node(tape, node), shape, sizeof shape));
    if (node->forward) {
        fputs("\\ngradient of ", out);
        wg__print_quoted(wg__node_name(tape, &tape->nodes[node->forward]), out);
        fprintf(out, " %%%u", node->forward);
    }
    fputc('"', out);
    if (!node->op) fputs(", shape=box", out);
    if (node->leaf == WG__LEAF_DATA) fputs(", color=grey", out);
    if (param) fputs(wg_param_is_buffer(param) ? ", style=dashed" : ", style=filled, fillcolor=lightblue", out);
    if (node->forward) fputs(", style=filled, fillcolor=mistyrose", out);
    fputs("];\n", out);
}

/* In the order of the program: a cluster that is opened again goes on. */
wg_status wg_dump_graphviz(const wg_tape *tape, FILE *out)
{
    if (!tape || !out) return WG_ERR_ARGUMENT;
    fputs("digraph tape {\n", out);
    uint32_t open = 0;
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const uint32_t scope = tape->nodes[id].scope;
        if (open && scope != open) fputs("  }\n", out);
        if (scope && scope != open) {
            fprintf(out, "  subgraph cluster_%u { label=\"", scope);
            wg__print_quoted(tape->scopes.list[scope].path, out);
            fputs("\";\n", out);
        }
        open = scope;
        graph_node(tape, id, out);
    }
    if (open) fputs("  }\n", out);
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const uint32_t *in = wg__inputs(tape, &tape->nodes[id]);
        for (uint32_t k = 0; k < tape->nodes[id].n_in; k++)
            if (in[k])
                fprintf(out, "  n%u -> n%u%s;\n", in[k], id, tape->nodes[id].forward ? " [color=brown3]" : "");
    }
    fputs("}\n", out);
    return ferror(out) ? WG_ERR_IO : WG_OK;
}

static void plan_line(const wg__instr *instr, FILE *out)
{
    switch (instr->kind) {
    case WG__INSTR_KERNEL: break;
    case WG__INSTR_PACK:
        fprintf(out, " packed %lld x %lld", (long long)instr->product->segments[0].k, (long long)instr->product->n);
        break;
    case WG__INSTR_CHAIN:
        fprintf(out, " chain of %d, %d in, %d out, %lld elements", instr->chain->n_steps, instr->chain->n_loads,
                instr->chain->n_stores, (long long)instr->chain->numel);
        break;
    case WG__INSTR_PRODUCT:
        fprintf(out, " %lld x %lld x %lld", (long long)instr->product->m, (long long)instr->product->n,
                (long long)wg__product_depth(instr->product));
        if (instr->product->n_segments > 1) fprintf(out, ", %d merged", instr->product->n_segments);
        if (instr->product->batches > 1) fprintf(out, ", %lld times", (long long)instr->product->batches);
        if (instr->product->packed_b) fputs(", packed", out);
        if (instr->product->accumulate) fputs(", added", out);
        break;
    }
}

static bool are_passes(const char *list)
{
    size_t length;
    for (const char *at = list; (at = wg__dump_next(at, &length)); at += length) {
        bool known = false;
        for (int i = 0; wg__pass_name(i); i++) known |= wg__dump_names(at, length, wg__pass_name(i));
        if (!known) return false;
    }
    return true;
}

void wg_trace_passes(wg_tape *tape, const char *passes, FILE *out)
{
    if (!tape) return;
    tape->dump.out = passes ? out : NULL;
    if (!passes || !out) return;
    if (strlen(passes) >= sizeof tape->dump.passes || !are_passes(passes)) {
        tape->dump.out = NULL;
        wg__tape_error(tape, WG_ERR_ARGUMENT,
                       "trace_passes (or WG_DUMP): \"%.80s\": must be \"all\" or a list of after-PASS", passes);
        return;
    }
    strcpy(tape->dump.passes, passes);
}

wg_status wg_dump_plan(const wg_tape *tape, FILE *out)
{
    if (!tape || !out) return WG_ERR_ARGUMENT;
    const wg__plan *plan = tape->cache->last_plan;
    if (!plan) return fputs("no plan\n", out) < 0 ? WG_ERR_IO : WG_OK;
    fprintf(out, "%u instructions, block %zu bytes, results %zu bytes, scratch %zu bytes a thread\n",
            plan->n_instrs, plan->block_bytes, plan->output_bytes, plan->scratch_bytes);
    for (uint32_t i = 0; i < plan->n_instrs; i++) {
        const wg__instr *instr = &plan->instrs[i];
        const wg__origin *origin = &plan->origins[i];
        wg__scope_text scope;
        fprintf(out, "%5u ", i);
        wg__print_text(wg__op_name(tape, origin->op), out);
        plan_line(instr, out);
        fprintf(out, ", %lld task%s", (long long)instr->tasks, instr->tasks == 1 ? "" : "s");
        fputs(wg__scope_label(tape, origin->scope, &scope), out);
        if (origin->forward_op) fputs(" gradient of ", out);
        if (origin->forward_op) wg__print_text(tape->interned.ops[origin->forward_op]->name, out);
        fputc('\n', out);
    }
    return ferror(out) ? WG_ERR_IO : WG_OK;
}
