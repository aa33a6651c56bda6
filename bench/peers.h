/* Internal to bench/: another engine's training steps, in a child process that is asked for one step at a time. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <stdio.h>
#include <sys/types.h>

#include "bench.h"

typedef struct bench_peer {
    pid_t pid;
    FILE *to, *from;
    char version[48];
} bench_peer;

/* Starts bench/peers/torch_models.py for this model and hands it the weights and data in the file. Ends the
 * program, with what the child says, where that fails. */
bench_peer bench_peer_start(const char *model, int threads, const char *path);
/* One step in the child, timed there; the loss before its update. */
void bench_peer_step(bench_peer *peer, double *ms, double *loss);
void bench_peer_stop(bench_peer *peer);

#endif
