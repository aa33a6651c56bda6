/* The timeline as Chrome's trace events, and as calls of a function; the memory of the last plan by scope. */
#include "../base/text.h"
#include "../trace.h"
#include "timeline.h"

/* ---- JSON ---- */

/* A viewer takes the thread whose number is the process's for the main thread, and 0 for none: Perfetto shows the
 * events of thread 0 in the lane of the main thread. */
enum { PROCESS = 1, MAIN_THREAD = PROCESS };

static void print_time(uint64_t nanoseconds, FILE *out)
{
    fprintf(out, "%llu.%03u", (unsigned long long)(nanoseconds / 1000), (unsigned)(nanoseconds % 1000));
}

static void print_name(const wg_tape *tape, const wg__label *label, FILE *out)
{
    if (label->kind == WG__INSTR_PACK) fputs("pack ", out);
    if (label->kind == WG__LABEL_RUN)
        fputs("run", out);
    else
        wg__print_quoted(wg__op_name(tape, label->op), out);
}

static void print_arguments(const wg_tape *tape, const wg__label *label, int32_t task, FILE *out)
{
    char shape[128];
    if (label->kind == WG__LABEL_RUN) {
        fprintf(out, "\"instructions\":%lld", (long long)label->shape.size[0]);
        return;
    }
    fputs("\"scope\":\"", out);
    wg__print_quoted(tape->scopes.list[label->scope].path, out);
    fprintf(out, "\",\"shape\":\"%s\",\"dtype\":\"%s\"", wg_shape_text(&label->shape, shape, sizeof shape),
            wg_dtype_name((wg_dtype)label->dtype));
    if (label->steps) fprintf(out, ",\"chain of ops\":%u", label->steps);
    if (label->batches > 0)
        fprintf(out, ",\"product\":\"%lld of %lld x %lld x %lld\"", (long long)label->batches, (long long)label->m,
                (long long)label->n, (long long)label->k);
    if (label->forward_op) {
        fputs(",\"gradient of\":\"", out);
        wg__print_quoted(wg__op_name(tape, label->forward_op), out);
        fputc('"', out);
    }
    if (task != WG__ALL_TASKS) fprintf(out, ",\"task\":%d", (int)task);
}

static void print_event(const wg_tape *tape, const wg__event *event, int thread, uint64_t zero, FILE *out)
{
    const wg__label *label = &tape->run->timeline->labels[event->label];
    fputs(",\n{\"name\":\"", out);
    print_name(tape, label, out);
    fprintf(out, "\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":",
            label->kind == WG__LABEL_RUN ? "run"
            : label->forward_op          ? "gradient"
                                         : "forward");
    print_time(event->start - zero, out);
    fputs(",\"dur\":", out);
    print_time(event->nanoseconds, out);
    fprintf(out, ",\"pid\":%d,\"tid\":%d,\"args\":{", PROCESS, MAIN_THREAD + thread);
    print_arguments(tape, label, event->task, out);
    fputs("}}", out);
}

/* Metadata: names of the lanes, in the order of threads. */
static void print_lanes(const wg__timeline *t, FILE *out)
{
    fprintf(out, "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"wengert\"}}",
            PROCESS, MAIN_THREAD);
    for (int i = 0; t && i < t->threads; i++) {
        fprintf(out, ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"",
                PROCESS, MAIN_THREAD + i);
        fprintf(out, i ? "worker %d\"}}" : "calling thread\"}}", i);
    }
}

wg_status wg_dump_trace(const wg_tape *tape, FILE *out)
{
    if (!tape || !out) return WG_ERR_ARGUMENT;
    wg__timeline *t = tape->run->timeline;
    uint64_t zero = 0;
    int thread = 0;
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", out);
    print_lanes(t, out);
    if (t) wg__timeline_rewind(t);
    for (const wg__event *event; t && (event = wg__timeline_next(t, &thread));) {
        if (!zero) zero = event->start;
        print_event(tape, event, thread, zero, out);
    }
    fputs("\n]}\n", out);
    return ferror(out) ? WG_ERR_IO : WG_OK;
}

/* ---- visiting ---- */

wg_status wg_trace_each(const wg_tape *tape, wg_trace_fn visit, void *context)
{
    if (!tape || !visit) return WG_ERR_ARGUMENT;
    wg__timeline *t = tape->run->timeline;
    uint64_t zero = 0;
    int thread = 0;
    if (t) wg__timeline_rewind(t);
    for (const wg__event *event; t && (event = wg__timeline_next(t, &thread));) {
        const wg__label *label = &t->labels[event->label];
        if (!zero) zero = event->start;
        visit(context, &(wg_trace_event){.op = label->kind == WG__LABEL_RUN ? NULL : wg__op_name(tape, label->op),
                                         .scope = tape->scopes.list[label->scope].path,
                                         .forward = label->forward_op ? wg__op_name(tape, label->forward_op) : NULL,
                                         .thread = thread,
                                         .task = event->task,
                                         .shape = label->shape,
                                         .dtype = (wg_dtype)label->dtype,
                                         .start = (double)(event->start - zero) * 1e-9,
                                         .seconds = (double)event->nanoseconds * 1e-9});
    }
    return WG_OK;
}

wg_status wg_memory_each(const wg_tape *tape, wg_scope_fn visit, void *context)
{
    if (!tape || !visit) return WG_ERR_ARGUMENT;
    const wg__plan *plan = tape->cache->last_plan;
    for (uint32_t i = 0; plan && i < plan->n_peak; i++)
        visit(context, tape->scopes.list[plan->peak[i].scope].path, (size_t)plan->peak[i].bytes);
    return WG_OK;
}
