/* Internal to bench/: a model in a child process that is asked for one step at a time. Ours and other engines' talk
 * alike, so that all are timed and measured alike: lines of commands, lines of JSON back.
 *
 *     save FILE   ours only: writes weights and data     {"ok": true, "flops": 1.2e9, "units": 1}
 *     load FILE   takes them                             {"ok": true, "version": "2.13.0+cpu"}
 *     step        one step, timed in the child           {"ms": 21.3, "loss": 4.17, "allocations": 0}
 *     memory      resident memory at most since then,    {"bytes": 1234}
 *                 over that of an idle process
 *     quit
 *
 * or {"error": "..."}. Idle: libraries loaded and used once, no model. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <stdio.h>
#include <sys/types.h>

#include "bench.h"

typedef struct bench_peer {
    pid_t pid;
    FILE *to, *from;
    char error[256]; /* why it is not there any more; "" while it is */
} bench_peer;

/* Starts "wengert" (this program, plan as in wg_tape_options) or one of bench_peers for a model. What goes wrong is
 * noted in error; from then on everything does nothing. */
bench_peer bench_peer_start(const char *name, const char *model, int threads, const char *plan);
/* Sends a command and reads the answer into line. False, and line "", on errors. */
bool bench_peer_ask(bench_peer *peer, const char *command, const char *argument, char line[512]);
/* What stands after "name": in a line of JSON; NaN or "" if it is not there. */
double bench_json_number(const char *line, const char *name);
void bench_json_text(const char *line, const char *name, char *text, size_t size);
void bench_peer_stop(bench_peer *peer);

/* The child's side of "wengert": answers until quit (serve.c). */
void bench_serve(const char *model, int threads, const char *plan);

#endif
