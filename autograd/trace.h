/* Dumps of a tape: the program as text or graph, the plan, passes of the planner, the profile.
 *
 *     wg_tape_options options = wg_tape_defaults();
 *     options.profile = true;
 *     wg_tape *tape = wg_tape_new(options);
 *     ...
 *     wg_dump_graphviz(tape, file);        the program, before the reset
 *     wg_dump_profile(tape, stdout);       time by op, after some steps
 *
 * Functions that return a status return WG_ERR_ARGUMENT if an argument is NULL, and WG_ERR_IO if writing fails. */
#ifndef WG_TRACE_H
#define WG_TRACE_H

#include <stdio.h>

#include "tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the recorded program, one line per node: id, op, operands, dtype, shape, scope. */
WG_API wg_status wg_dump_text(const wg_tape *tape, FILE *out);
/* Writes the recorded program as a Graphviz digraph with one cluster per scope. A node has its op, or the parameter's
 * name, or "data" (with the number of a scalar); below, the id of wg_dump_text, dtype and shape. Leaves are boxes: of
 * parameters blue, of buffers dashed, of data grey. What wg_grad recorded is red, with the node it is a gradient of as
 * its tooltip; wg_backward leaves nothing on the tape. */
WG_API wg_status wg_dump_graphviz(const wg_tape *tape, FILE *out);
/* Writes the instructions of the plan that ran last: fused chains, merged and packed products, numbers of tasks. */
WG_API wg_status wg_dump_plan(const wg_tape *tape, FILE *out);
/* From now on, whenever a plan is made, writes the program to `out` after the named passes of the planner:
 * "after-fuse,after-place", or "all"; NULL: no dumps. A new tape takes the list from the environment variable WG_DUMP
 * and writes to stderr. An unknown name is an error of the tape. docs/planner.md describes the format. */
WG_API void wg_trace_passes(wg_tape *tape, const char *passes, FILE *out);
/* Writes the time in milliseconds by op and scope since the last wg_profile_clear, largest first. Requires the option
 * profile. Products are listed by size, m x n x k with merged products included, with their GFLOP/s. */
WG_API wg_status wg_dump_profile(const wg_tape *tape, FILE *out);
/* Discards the profile. */
WG_API void wg_profile_clear(wg_tape *tape);
/* Writes the last profiled run as Chrome trace events (chrome://tracing, Perfetto). */
WG_API wg_status wg_dump_chrome(const wg_tape *tape, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
