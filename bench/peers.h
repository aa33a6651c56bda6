/* Internal to bench/: a model in a child process, which runs one step per command. Wengert and other engines use the
 * same protocol, so that all are measured in the same way: a command per line, an answer of one line of JSON.
 *
 *     save FILE   Wengert only: write weights and data   {"ok": true, "flops": 1.2e9, "units": 1}
 *     load FILE   load them                              {"ok": true, "version": "2.13.0+cpu"}
 *     step        run one step, timed in the child       {"ms": 21.3, "loss": 4.17, "allocations": 0}
 *     memory      peak resident memory since save or     {"bytes": 1234}
 *                 load, over that of an idle process
 *     quit
 *
 * or {"error": "..."}. An idle process has its libraries loaded and used once, and no model. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <stdio.h>
#include <sys/types.h>

#include "bench.h"

/* What --vs takes. */
typedef struct bench_peer_kind {
    const char *name;
    const char *script, *option; /* of bench/peers; NULL: this program, with the plan */
    const char *plan;
    double tolerance; /* of losses, relative */
} bench_peer_kind;
extern const bench_peer_kind bench_peers[BENCH_PEERS_MAX];
const char *bench_peer_names(void);                       /* all, separated by ", " */
const bench_peer_kind *bench_peer_find(const char *name); /* NULL: "wengert" itself */

typedef struct bench_peer {
    pid_t pid;
    FILE *to, *from;
    char error[256]; /* the first error; "": none */
} bench_peer;

/* Starts "wengert" (this program, plan as in wg_tape_options) or a peer for a model. Errors are sticky: the first one
 * is stored, and later commands do nothing. */
bench_peer bench_peer_start(const char *name, const char *model, int threads, const char *plan);
/* Sends a command and reads the answer to line. Returns false, with line "", on error. */
bool bench_peer_ask(bench_peer *peer, const char *command, const char *argument, char line[512]);
/* The value of "name" in a line of JSON; NaN or "" if it is missing. */
double bench_json_number(const char *line, const char *name);
void bench_json_text(const char *line, const char *name, char *text, size_t size);
void bench_peer_stop(bench_peer *peer);

/* The child process of "wengert": answers commands until quit (serve.c). */
void bench_serve(const char *model, int threads, const char *plan);

#endif
