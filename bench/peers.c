/* Starts PyTorch's side and talks to it: lines of commands to its standard input, lines of JSON back. */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number after "name": in a line of JSON; false if it is not there. */
static bool json_number(const char *line, const char *name, double *number)
{
    char key[32], *end;
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(line, key);
    if (!at) return false;
    *number = strtod(at + strlen(key), &end);
    return end > at + strlen(key);
}

static void json_text(const char *line, const char *name, char *text, size_t size)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\": \"", name);
    const char *at = strstr(line, key);
    snprintf(text, size, "%.*s", at ? (int)strcspn(at + strlen(key), "\"") : 0, at ? at + strlen(key) : "");
}

/* Sends a command, reads the answer into line. */
static void ask(bench_peer *peer, char *line, int size, const char *command, const char *argument)
{
    fprintf(peer->to, "%s %s\n", command, argument);
    if (fflush(peer->to) != 0 || !fgets(line, size, peer->from))
        app_fail("the peer ended; is PyTorch there? (./run setup --peers)");
    if (strstr(line, "\"error\"")) app_fail("the peer says: %.*s", (int)strcspn(line, "\n"), line);
}

static _Noreturn void run_child(const char *model, int threads, int in, int out)
{
    const char *python = getenv("WG_PYTHON");
    char count[16];
    if (!python) python = "python3";
    snprintf(count, sizeof count, "%d", threads);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execlp(python, python, BENCH_PEERS "/torch_models.py", model, "--threads", count, (char *)NULL);
    fprintf(stderr, "bench: cannot start %s: %s\n", python, strerror(errno));
    _exit(127);
}

bench_peer bench_peer_start(const char *model, int threads, const char *path)
{
    int to[2], from[2];
    char line[512];
    bench_peer peer = {0};
    signal(SIGPIPE, SIG_IGN); /* a child that ended is reported by ask */
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        app_fail("cannot make a pipe: %s", strerror(errno));
    peer.pid = fork();
    if (peer.pid < 0) app_fail("cannot start a peer: %s", strerror(errno));
    if (peer.pid == 0) run_child(model, threads, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    peer.to = fdopen(to[1], "w");
    peer.from = fdopen(from[0], "r");
    if (!peer.to || !peer.from) app_fail("out of memory");
    ask(&peer, line, sizeof line, "load", path);
    json_text(line, "version", peer.version, sizeof peer.version);
    return peer;
}

void bench_peer_step(bench_peer *peer, double *ms, double *loss)
{
    char line[512];
    ask(peer, line, sizeof line, "step", "");
    if (!json_number(line, "ms", ms) || !json_number(line, "loss", loss))
        app_fail("the peer's answer is not understood: %.*s", (int)strcspn(line, "\n"), line);
}

void bench_peer_stop(bench_peer *peer)
{
    fputs("quit\n", peer->to);
    fclose(peer->to);
    fclose(peer->from);
    waitpid(peer->pid, NULL, 0);
    *peer = (bench_peer){0};
}
