/* Starts child processes and exchanges commands and answers with them. */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const bench_peer_kind bench_peers[] = {
    {"torch", BENCH_PEERS "/torch_models.py", NULL, NULL, 1e-4},
    {"torch-compile", BENCH_PEERS "/torch_models.py", "--compile", NULL, 1e-4},
    {"torch-bf16", BENCH_PEERS "/torch_models.py", "--bf16", NULL, 2e-2}, /* autocast */
    {"jax", BENCH_PEERS "/jax_models.py", NULL, NULL, 1e-4},
    {"wengert-bf16", NULL, NULL, "+bf16", 2e-2},
    {"wengert-int8", NULL, NULL, "+int8", 2e-2}};

const char *bench_peer_names(void)
{
    static char names[128];
    size_t n = 0;
    for (int i = 0; i < BENCH_PEERS_MAX && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", bench_peers[i].name);
    return names;
}

const bench_peer_kind *bench_peer_find(const char *name)
{
    for (size_t i = 0; i < BENCH_PEERS_MAX; i++)
        if (!strcmp(bench_peers[i].name, name)) return &bench_peers[i];
    return NULL;
}

double bench_json_number(const char *line, const char *name)
{
    char key[32], *end;
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(line, key);
    if (!at) return NAN;
    double number = strtod(at + strlen(key), &end);
    return end > at + strlen(key) ? number : NAN;
}

void bench_json_text(const char *line, const char *name, char *text, size_t size)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\": \"", name);
    const char *at = strstr(line, key);
    snprintf(text, size, "%.*s", at ? (int)strcspn(at + strlen(key), "\"") : 0, at ? at + strlen(key) : "");
}

static void set_error(bench_peer *peer, const char *format, ...) WG_PRINTF(2, 3);

static void set_error(bench_peer *peer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(peer->error, sizeof peer->error, format, arguments);
    va_end(arguments);
}

/* ---- the child ----------------------------------------------------------------------------------------- */

/* Writes the NULL-terminated arguments of a child, at most 12. */
static void arguments_of(const char **out, const char *name, const char *model, const char *threads,
                         const char *plan)
{
    const char *python = getenv("WG_PYTHON");
    const bench_peer_kind *kind = bench_peer_find(name);
    if (!kind || !kind->script) {
        *out++ = "/proc/self/exe", *out++ = "serve", *out++ = "--model", *out++ = model;
        if (kind) plan = kind->plan;
        if (plan) *out++ = "--plan", *out++ = plan;
    } else {
        *out++ = python ? python : "python3", *out++ = kind->script, *out++ = model;
        if (kind->option) *out++ = kind->option;
    }
    *out++ = "--threads", *out++ = threads, *out = NULL;
}

static _Noreturn void run_child(const char *const *arguments, int in, int out)
{
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execvp(arguments[0], (char **)(uintptr_t)arguments);
    fprintf(stderr, "bench: cannot start %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

/* ---- the parent ---------------------------------------------------------------------------------------- */

bench_peer bench_peer_start(const char *name, const char *model, int threads, const char *plan)
{
    int to[2], from[2];
    char count[16];
    const char *arguments[12];
    bench_peer peer = {0};
    snprintf(count, sizeof count, "%d", threads);
    arguments_of(arguments, name, model, count, plan);
    signal(SIGPIPE, SIG_IGN); /* bench_peer_ask reports a child that has exited */
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        app_fail("cannot create a pipe: %s", strerror(errno));
    fflush(stdout);
    peer.pid = fork();
    if (peer.pid < 0) app_fail("cannot start a peer: %s", strerror(errno));
    if (peer.pid == 0) run_child(arguments, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    peer.to = fdopen(to[1], "w");
    peer.from = fdopen(from[0], "r");
    if (!peer.to || !peer.from) app_fail("out of memory");
    return peer;
}

bool bench_peer_ask(bench_peer *peer, const char *command, const char *argument, char line[512])
{
    line[0] = 0;
    if (peer->error[0]) return false;
    fprintf(peer->to, "%s %s\n", command, argument);
    if (fflush(peer->to) != 0 || !fgets(line, 512, peer->from)) {
        set_error(peer, "its process ended during '%s' (./run setup --peers?)", command);
    } else if (strstr(line, "\"error\"")) {
        char text[200];
        bench_json_text(line, "error", text, sizeof text);
        set_error(peer, "%s", text);
    }
    if (peer->error[0]) line[0] = 0;
    return !peer->error[0];
}

void bench_peer_stop(bench_peer *peer)
{
    fputs("quit\n", peer->to);
    fclose(peer->to);
    fclose(peer->from);
    waitpid(peer->pid, NULL, 0);
    *peer = (bench_peer){0};
}
