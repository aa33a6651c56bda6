/* What a program writes to a file descriptor that is a terminal of some width, or a pipe. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct terminal {
    int fd, was; /* the file descriptor that is caught, and a copy of what it was */
    int from;    /* where what was written can be read */
} terminal;

/* From now on, fd (1 or 2) is a terminal with so many columns; 0: a pipe. */
static inline bool terminal_begin(terminal *t, int fd, int columns)
{
    int ends[2] = {-1, -1};
    fflush(NULL);
    if (columns == 0) {
        if (!CHECK(pipe(ends) == 0)) return false;
    } else {
        const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
        ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
        if (!CHECK(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0)) return false;
        ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
        if (!CHECK(ends[1] >= 0 && ioctl(ends[1], TIOCSWINSZ, &size) == 0)) return false;
    }
    *t = (terminal){.fd = fd, .was = dup(fd), .from = ends[0]};
    dup2(ends[1], fd);
    close(ends[1]);
    return true;
}

/* fd is what it was. text[size] becomes what was written in between, without what a terminal adds to line ends; at most
 * a few thousand bytes, which it holds. */
static inline void terminal_end(const terminal *t, char *text, size_t size)
{
    size_t n = 0;
    fflush(NULL);
    dup2(t->was, t->fd);
    close(t->was);
    for (ssize_t got; n + 1 < size && (got = read(t->from, text + n, size - 1 - n)) > 0;) n += (size_t)got;
    close(t->from);
    text[n] = 0;
    char *to = text;
    for (const char *c = text; *c; c++)
        if (c[0] != '\r' || c[1] != '\n') *to++ = *c;
    *to = 0;
}

#endif
