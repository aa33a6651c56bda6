/* Internal to dist/: messages between ranks. wire_mpi.c is the one file that includes mpi.h; wire_none.c stands for it
 * in a build without MPI. Nothing here blocks. */
#ifndef WG_DIST_WIRE_H
#define WG_DIST_WIRE_H

#include "../autograd/status.h"

/* Messages of a kind arrive in the order in which they were sent; kinds overtake each other. Sums of gradients are on
 * their way while a rank computes, and while it calls a function that sends data. */
enum { WG__DATA = 1, WG__SUMS = 2, WG__NOTE = 3 };

/* A message on its way. */
typedef struct wg__request {
    uint64_t handle[2]; /* an MPI_Request */
    bool pending;
} wg__request;

/* Whether a launcher started this program, and its place as far as the environment tells: launch.c. */
bool wg__launched(int *rank, int *size);
/* Whether there is anything to open: in a build without MPI there never is. */
extern const bool wg__has_wire;
/* Starts MPI; *rank and *size are those of the world. */
wg_status wg__wire_open(int *argc, char ***argv, int *rank, int *size, wg_error *error);
void wg__wire_close(void);
/* The name and version of the MPI library. */
void wg__wire_engine(char *text, size_t size);

/* Begin to send or to receive at most 1 GiB; bytes must stay until wg__wire_test says that it is done. */
wg_status wg__wire_send(const void *bytes, size_t size, int to, int kind, wg__request *request, wg_error *error);
wg_status wg__wire_receive(void *bytes, size_t size, int from, int kind, wg__request *request, wg_error *error);
/* Whether it is done; a request that is not pending is. */
wg_status wg__wire_test(wg__request *request, bool *done, wg_error *error);
/* Receives a note of exactly this size from anyone, if there is one: *from is its rank, else -1. */
wg_status wg__wire_note(void *bytes, size_t size, int *from, wg_error *error);

#endif
