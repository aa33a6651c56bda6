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
 * parameters blue, of buffers dashed, of data grey. What wg_grad recorded is red, and says of which node it is a
 * gradient; wg_backward leaves nothing on the tape. */
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

/* ---- traces: when each task ran, and on which thread ----
 *
 *     wg_trace_runs(tape, 10000);      from here on
 *     wg_backward(loss);
 *     wg_dump_trace(tape, file);       open it in ui.perfetto.dev or chrome://tracing
 *     wg_trace_runs(tape, 0);
 */

/* Records from now on, for each thread of the tape's pool, its last `events` tasks, at most 2^24: 24 bytes each, taken
 * now. What is known of an instruction is stored once; when that has as many entries as there is room for events, the
 * trace starts over. A task costs two readings of the clock, about 50 ns; runs compute the same bits. Discards what an
 * earlier call recorded. 0: records no longer; what was recorded can still be read. WG_ERR_ARGUMENT if events is out of
 * range; WG_ERR_MEMORY. */
WG_API wg_status wg_trace_runs(wg_tape *tape, int64_t events);

/* Writes the trace as JSON in Chrome's trace event format: one lane a thread, an event for each task, named by its op,
 * sorted by start, in microseconds from the first; in its arguments scope, shape and dtype of the result, m x n x k of
 * a product, the number of ops in a fused chain, the op that it is the gradient of. Around the tasks of a run stands an
 * event "run" in the lane of the calling thread. */
WG_API wg_status wg_dump_trace(const wg_tape *tape, FILE *out);
#define wg_dump_chrome wg_dump_trace /* its former name */

/* What a thread did, or a run as a whole. */
typedef struct wg_trace_event {
    const char *op;        /* NULL: a run as a whole */
    const char *scope;     /* "encoder.l0"; "": the outermost */
    const char *forward;   /* the op that this is part of the gradient of; NULL: none */
    int thread;            /* 0: the calling thread */
    int64_t task;          /* its number; -1: all tasks of the instruction */
    wg_shape shape;        /* of the result of the whole instruction; a run: [instructions] */
    wg_dtype dtype;        /* of the result */
    double start, seconds; /* seconds since the start of the first event; duration in seconds */
} wg_trace_event;
/* What wg_trace_each calls. */
typedef void (*wg_trace_fn)(void *context, const wg_trace_event *event);
/* Calls visit, which must not use the tape, for each event of the trace, in the order of starts. The strings are valid
 * until the tape is freed. */
WG_API wg_status wg_trace_each(const wg_tape *tape, wg_trace_fn visit, void *context);

/* What wg_memory_each calls. */
typedef void (*wg_scope_fn)(void *context, const char *scope, size_t bytes);
/* Calls visit for each scope with the bytes of its values at the moment when the plan that ran last needs most memory:
 * what is computed or saved for the backward pass. Parameters, gradients and values that can be read after the run have
 * memory of their own and are not counted. */
WG_API wg_status wg_memory_each(const wg_tape *tape, wg_scope_fn visit, void *context);

#ifdef __cplusplus
}
#endif
#endif
