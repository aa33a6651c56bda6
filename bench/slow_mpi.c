/* A slow network, for bench/dist.py: between the program and MPI (LD_PRELOAD; MPI's profiling interface), it holds back
 * what has arrived. A rank's link takes SLOW_LATENCY microseconds for a message and has SLOW_MBIT Mbit/s. */
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64 };

typedef struct arrival {
    MPI_Request request;
    double bytes, due; /* due: seconds of the clock; 0: it is not here yet */
    bool used;
} arrival;

static arrival arrivals[MOST];
static double link_free; /* when the last message has passed the link */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double setting(const char *name) { return getenv(name) ? strtod(getenv(name), NULL) : 0; }

int MPI_Irecv(void *bytes, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request)
{
    const int code = PMPI_Irecv(bytes, count, type, from, tag, comm, request);
    for (int i = 0; i < MOST; i++) {
        if (arrivals[i].used) continue;
        arrivals[i] = (arrival){.request = *request, .bytes = count, .used = true};
        break;
    }
    return code;
}

static arrival *find(MPI_Request request)
{
    for (int i = 0; i < MOST; i++)
        if (arrivals[i].used && arrivals[i].request == request) return &arrivals[i];
    return NULL;
}

/* When a message that is here now has passed the link. */
static double passes(double bytes)
{
    static double latency = -1, second_per_byte;
    if (latency < 0) {
        latency = 1e-6 * setting("SLOW_LATENCY");
        second_per_byte = setting("SLOW_MBIT") > 0 ? 8e-6 / setting("SLOW_MBIT") : 0;
    }
    const double begins = now() > link_free ? now() : link_free;
    link_free = begins + bytes * second_per_byte;
    return link_free + latency;
}

int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status)
{
    arrival *a = find(*request);
    if (!a) return PMPI_Test(request, flag, status);
    int code = MPI_SUCCESS, here = a->due > 0;
    if (!here) code = PMPI_Request_get_status(*request, &here, MPI_STATUS_IGNORE);
    if (here && a->due == 0) a->due = passes(a->bytes);
    *flag = 0;
    if (!here || now() < a->due) return code;
    a->used = false;
    return PMPI_Test(request, flag, status);
}
