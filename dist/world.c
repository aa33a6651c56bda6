/* A world of ranks: opening and closing, messages that are waited for with a time limit, and how it ends when a rank
 * fails. A rank that waits answers questions of others meanwhile. One that has waited too long asks all: who does not
 * answer is dead or stuck, is named, and everybody else is told to end. */
#include "tree.h"
#include "world.h"

#include "../autograd/base/clock.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASKS = 1, ANSWERS, ENDS };

static void pause_for(double seconds)
{
    const struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* ---- opening and closing ---- */

wg_world_options wg_world_defaults(void) { return (wg_world_options){.timeout = 60}; }

static bool is_open;
static bool is_unopened;      /* the world could not be opened, for a reason that rank 0 tells */
static wg_world *left_behind; /* one that failed: messages may still arrive in its memory */

int wg__count_lanes(int size)
{
    int lanes = size > 1;
    for (int n = size; wg__is_power(size) && n > 1; n /= 2) lanes++;
    return lanes;
}

size_t wg__world_bytes(int size) { return (size_t)wg__count_lanes(size) * 4 * WG__CHUNK; }

static bool take_memory(wg_world *w)
{
    w->peers = calloc((size_t)w->size, sizeof *w->peers);
    bool ok = w->peers != NULL;
    for (w->n_lanes = 0; ok && w->n_lanes < wg__count_lanes(w->size); w->n_lanes++)
        for (int i = 0; i < 2; i++) {
            wg__lane *lane = &w->lanes[w->n_lanes];
            lane->out[i] = malloc(WG__CHUNK);
            lane->in[i] = malloc(WG__CHUNK);
            ok = ok && lane->out[i] && lane->in[i];
        }
    return ok;
}

static void release(wg_world *w)
{
    for (int lane = 0; lane < w->n_lanes; lane++)
        for (int i = 0; i < 2; i++) {
            free(w->lanes[lane].out[i]);
            free(w->lanes[lane].in[i]);
        }
    free(w->peers);
    free(w);
    is_open = false;
}

/* Starts MPI in a program that was launched. If the launcher and the build do not fit, each rank is alone and finds the
 * same error. Rank 0 tells; the others wait until it has, for then a launcher may end them. */
static wg_status open_wire(wg_world *w, int *argc, char ***argv, wg_error *error)
{
    int rank, size;
    if (!wg__launched(&rank, &size)) return WG_OK;
    if (wg__has_wire) {
        const wg_status status = wg__wire_open(argc, argv, &w->rank, &w->size, error);
        if (status != WG_OK) return status;
        wg__wire_engine(w->engine, sizeof w->engine);
    }
    if (size == 1 || w->size > 1) return WG_OK;
    is_unopened = rank > 0;
    if (rank > 0) pause_for(2);
    if (!wg__has_wire)
        return wg_error_set(error, WG_ERR_IO,
                            "world: started on %d ranks, but this build has no MPI: see meson's option mpi", size);
    return wg_error_set(error, WG_ERR_IO, "world: started on %d ranks, by a launcher that is not that of %s", size,
                        w->engine);
}

wg_world *wg_world_open(int *argc, char ***argv, wg_world_options options, wg_error *error)
{
    if (is_open || !(options.timeout > 0)) {
        wg_error_set(error, WG_ERR_ARGUMENT, "world: %s",
                     is_open ? "there is one already" : "the time limit must be a number > 0");
        return NULL;
    }
    wg_world *w = calloc(1, sizeof *w);
    if (!w) {
        wg_error_set(error, WG_ERR_MEMORY, "world: out of memory");
        return NULL;
    }
    *w = (wg_world){.size = 1, .timeout = options.timeout, .engine = "none"};
    is_open = true;
    if (open_wire(w, argc, argv, error) != WG_OK) {
        release(w);
        return NULL;
    }
    w->speaks = w->rank == 0;
    if (take_memory(w)) return w;
    wg_error_set(error, WG_ERR_MEMORY, "world: out of memory for %d ranks", w->size);
    release(w);
    return NULL;
}

/* After a failure MPI is left as it is: it would wait for the dead. The launcher kills all as soon as one ends with an
 * error, so those that are silent leave the one that prints a second for it. */
void wg_world_close(wg_world *w)
{
    if (!w) return;
    const bool ok = wg_world_barrier(w) == WG_OK;
    if (ok && strcmp(w->engine, "none") != 0) wg__wire_close();
    if (!ok && !w->speaks) pause_for(1);
    if (ok)
        release(w);
    else
        left_behind = w;
}

int wg_world_rank(const wg_world *w) { return w ? w->rank : 0; }
int wg_world_size(const wg_world *w) { return w ? w->size : 1; }
const char *wg_world_engine(const wg_world *w) { return w ? w->engine : "none"; }
wg_status wg_world_status(const wg_world *w) { return w ? w->error.status : WG_ERR_ARGUMENT; }
const char *wg_world_message(const wg_world *w) { return w ? w->error.text : "no world"; }
bool wg_world_speaks(const wg_world *w) { return w ? w->speaks : !is_unopened; }
wg_world_counts wg_world_count(const wg_world *w) { return w ? w->counts : (wg_world_counts){0}; }

/* ---- notes ---- */

/* Sends a note; drops it if the last one to this rank has not left yet. */
static void note(wg_world *w, int to, int kind, int speaker, const char *text)
{
    wg__peer *peer = &w->peers[to];
    bool done = false;
    if (wg__wire_test(&peer->sending, &done, NULL) != WG_OK || !done) return;
    peer->note = (wg__note){.kind = kind, .speaker = speaker};
    snprintf(peer->note.text, sizeof peer->note.text, "%s", text);
    (void)wg__wire_send(&peer->note, sizeof peer->note, to, WG__NOTE, &peer->sending, NULL);
}

static void note_all(wg_world *w, int kind, int speaker, const char *text)
{
    for (int to = 0; to < w->size; to++)
        if (to != w->rank) note(w, to, kind, speaker, text);
}

/* Reads the notes that are there. Returns the lowest rank that has ended, or -1; the first end is the world's. */
static int read_notes(wg_world *w)
{
    int lowest = -1, from;
    wg__note n;
    while (wg__wire_note(&n, sizeof n, &from, NULL) == WG_OK && from >= 0) {
        w->peers[from].answered = true;
        if (n.kind == ASKS) note(w, from, ANSWERS, 0, "");
        if (n.kind != ENDS) continue;
        n.text[sizeof n.text - 1] = 0;
        if (w->error.status == WG_OK) {
            wg_error_set(&w->error, WG_ERR_IO, "%s", n.text);
            w->speaks = n.speaker == w->rank;
        }
        if (lowest < 0 || from < lowest) lowest = from;
    }
    return lowest;
}

wg_status wg__world_fail(wg_world *w, wg_status status, const char *text)
{
    if (w->error.status != WG_OK) return w->error.status;
    w->speaks = true;
    note_all(w, ENDS, w->rank, text);
    return wg_error_set(&w->error, status, "%s", text);
}

bool wg_world_fail(wg_world *w, const char *text)
{
    if (!w) return !is_unopened;
    char line[332];
    if (w->size == 1 || w->error.status != WG_OK) return w->speaks;
    snprintf(line, sizeof line, "rank %d: %s", w->rank, text ? text : "failed");
    wg__world_fail(w, WG_ERR_IO, line);
    for (double start = wg__seconds_now(); w->rank > 0 && w->speaks && wg__seconds_now() - start < 0.5;
         pause_for(0.005)) {
        const int lowest = read_notes(w);
        if (lowest >= 0 && lowest < w->rank) w->speaks = false;
    }
    return w->speaks;
}

/* ---- waiting ---- */

/* "rank 2 of 4 has", "ranks 2, 3 of 8 have" those that have not answered; returns their number. */
static int name_silent(const wg_world *w, char *text, size_t size)
{
    int n = 0;
    size_t used = 0;
    char list[120] = "";
    for (int r = 0; r < w->size; r++) {
        if (r == w->rank || w->peers[r].answered) continue;
        if (n++ < 8) used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", r);
    }
    snprintf(text, size, "rank%s %s%s of %d %s", n == 1 ? "" : "s", list, n > 8 ? ", ..." : "", w->size,
             n == 1 ? "has" : "have");
    return n;
}

/* The time limit is over: asks everybody, waits for answers, ends the world. */
static wg_status give_up(wg_world *w, int peer)
{
    const double grace = w->timeout < 4 ? w->timeout / 2 : 2;
    char silent[200], text[300];
    for (int r = 0; r < w->size; r++) w->peers[r].answered = r == w->rank;
    note_all(w, ASKS, 0, "");
    for (double start = wg__seconds_now(); wg__seconds_now() - start < grace && w->error.status == WG_OK;
         pause_for(0.005))
        read_notes(w);
    if (w->error.status != WG_OK) return w->error.status; /* another rank was faster */
    if (name_silent(w, silent, sizeof silent) > 0)
        snprintf(text, sizeof text, "%s not answered for %g s", silent, w->timeout);
    else
        snprintf(text, sizeof text,
                 "rank %d of %d lives, but has sent nothing for %g s: do all run the same program?", peer, w->size,
                 w->timeout);
    int speaker = 0;
    while (!w->peers[speaker].answered) speaker++;
    for (int to = 0; to < w->size; to++) /* also to the silent ones: they may wake up */
        if (to != w->rank) note(w, to, ENDS, speaker, text);
    w->speaks = speaker == w->rank;
    return wg_error_set(&w->error, WG_ERR_IO, "%s", text);
}

/* Spins while a message may be on its way, then leaves the processor to others: a rank may share it. */
static void pause_after(double waited)
{
    if (waited > 1e-2)
        pause_for(2e-4);
    else if (waited > 1e-4)
        pause_for(1e-5);
    else if (waited > 2e-5)
        sched_yield();
}

wg_status wg__idle(wg_world *w, double *since, int peer)
{
    const double now = wg__seconds_now();
    if (*since == 0) *since = now;
    if (w->n_polls++ % 64 == 63) read_notes(w);
    if (w->error.status != WG_OK) return w->error.status;
    if (now - *since > w->timeout) return give_up(w, peer);
    pause_after(now - *since);
    return WG_OK;
}

void wg__awake(wg_world *w, double *since)
{
    if (*since > 0) w->counts.seconds += wg__seconds_now() - *since;
    *since = 0;
}

wg_status wg__test(wg_world *w, wg__request *request, int peer, bool *done)
{
    wg_error error = {0};
    if (w->error.status != WG_OK || wg__wire_test(request, done, &error) == WG_OK) return w->error.status;
    char text[332];
    snprintf(text, sizeof text, "rank %d of %d: %.250s", peer, w->size, error.text);
    return wg__world_fail(w, WG_ERR_IO, text);
}

wg_status wg__wait(wg_world *w, wg__request *request, int peer)
{
    double since = 0;
    bool done = false;
    wg_status status = wg__test(w, request, peer, &done);
    while (status == WG_OK && !done) {
        status = wg__idle(w, &since, peer);
        if (status == WG_OK) status = wg__test(w, request, peer, &done);
    }
    wg__awake(w, &since);
    return status;
}

wg_status wg__send(wg_world *w, int kind, const void *bytes, size_t size, int to, uint64_t *count,
                   wg__request *request)
{
    wg_error error = {0};
    if (w->error.status != WG_OK) return w->error.status;
    *count += size;
    w->counts.messages++;
    if (wg__wire_send(bytes, size, to, kind, request, &error) == WG_OK) return WG_OK;
    return wg__world_fail(w, WG_ERR_IO, error.text);
}

wg_status wg__receive(wg_world *w, int kind, void *bytes, size_t size, int from, wg__request *request)
{
    wg_error error = {0};
    if (w->error.status != WG_OK) return w->error.status;
    if (wg__wire_receive(bytes, size, from, kind, request, &error) == WG_OK) return WG_OK;
    return wg__world_fail(w, WG_ERR_IO, error.text);
}

/* ---- what is built of it ---- */

wg_status wg__send_all(wg_world *w, const void *bytes, size_t size, int to)
{
    wg_status status = WG_OK;
    for (size_t at = 0; at < size && status == WG_OK; at += WG__CHUNK) {
        wg__request request = {0};
        const size_t some = size - at < WG__CHUNK ? size - at : WG__CHUNK;
        status = wg__send(w, WG__DATA, (const char *)bytes + at, some, to, &w->counts.other_bytes, &request);
        if (status == WG_OK) status = wg__wait(w, &request, to);
    }
    return status;
}

wg_status wg__receive_all(wg_world *w, void *bytes, size_t size, int from)
{
    wg_status status = WG_OK;
    for (size_t at = 0; at < size && status == WG_OK; at += WG__CHUNK) {
        wg__request request = {0};
        const size_t some = size - at < WG__CHUNK ? size - at : WG__CHUNK;
        status = wg__receive(w, WG__DATA, (char *)bytes + at, some, from, &request);
        if (status == WG_OK) status = wg__wait(w, &request, from);
    }
    return status;
}

/* Along a binomial tree: who has the bytes sends them to the rank at distance 2^k. */
wg_status wg__broadcast(wg_world *w, int root, void *bytes, size_t size)
{
    const int place = (w->rank - root + w->size) % w->size;
    wg_status status = w->error.status;
    int distance = 1;
    while (distance < w->size) distance *= 2;
    for (distance /= 2; distance > 0 && status == WG_OK; distance /= 2) {
        const int other = place ^ distance, rank = (other + root) % w->size;
        if (place % distance != 0 || other >= w->size) continue;
        status = place < other ? wg__send_all(w, bytes, size, rank) : wg__receive_all(w, bytes, size, rank);
    }
    return status;
}

wg_status wg__agree(wg_world *w, wg_error *error)
{
    wg_error theirs = *error;
    /* Up the binomial tree, where the lower rank is the one that receives; then down again. */
    for (int distance = 1; distance < w->size; distance *= 2) {
        const int other = w->rank ^ distance;
        if (w->rank % distance != 0 || other >= w->size) continue;
        wg_status status = w->rank > other ? wg__send_all(w, error, sizeof *error, other)
                                           : wg__receive_all(w, &theirs, sizeof theirs, other);
        if (status != WG_OK) return status;
        if (w->rank < other && error->status == WG_OK) *error = theirs;
    }
    const wg_status status = wg__broadcast(w, 0, error, sizeof *error);
    return status == WG_OK ? error->status : status;
}

wg_status wg_world_barrier(wg_world *w)
{
    if (!w) return WG_ERR_ARGUMENT;
    wg_error none = {0};
    return w->error.status != WG_OK ? w->error.status : wg__agree(w, &none);
}
