/* Messages between ranks, by MPI (MPI Forum, version 3.1; Open MPI, MPICH). Errors of MPI are returned, never fatal. */
#include "wire.h"

#include <mpi.h>
#include <string.h>

_Static_assert(sizeof(MPI_Request) <= sizeof((wg__request){0}.handle), "a request has room for MPI's");

static MPI_Comm comm = MPI_COMM_NULL; /* of this library's own messages */

static wg_status check(int code, const char *what, wg_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (code == MPI_SUCCESS) return WG_OK;
    MPI_Error_string(code, text, &length);
    return wg_error_set(error, WG_ERR_IO, "MPI: %s: %.200s", what, text);
}

const bool wg__has_wire = true;

wg_status wg__wire_open(int *argc, char ***argv, int *rank, int *size, wg_error *error)
{
    int running = 0, over = 0, level = 0;
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    if (over) return wg_error_set(error, WG_ERR_ARGUMENT, "MPI has ended: a process can open a world once");
    if (!running) {
        wg_status status = check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level), "cannot start", error);
        if (status != WG_OK) return status;
        if (level < MPI_THREAD_FUNNELED)
            return wg_error_set(error, WG_ERR_IO, "MPI: this library of it does not allow processes with threads");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    wg_status status = check(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "cannot copy the world", error);
    if (status != WG_OK) return status;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm, rank);
    MPI_Comm_size(comm, size);
    return WG_OK;
}

void wg__wire_close(void)
{
    MPI_Comm_free(&comm);
    MPI_Finalize();
}

void wg__wire_engine(char *text, size_t size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = 0; /* "Open MPI v4.1.4", "MPICH Version: 4.0.2" */
    for (char *tab; (tab = strchr(version, '\t'));) *tab = ' ';
    wg_printable(version, text, size);
}

/* Whether `code` began a message; stores its handle. */
static wg_status begun(int code, const char *what, const MPI_Request *handle, wg__request *request, wg_error *error)
{
    request->pending = code == MPI_SUCCESS;
    memcpy(request->handle, handle, sizeof *handle);
    return check(code, what, error);
}

wg_status wg__wire_send(const void *bytes, size_t size, int to, int kind, wg__request *request, wg_error *error)
{
    MPI_Request handle = MPI_REQUEST_NULL;
    const int code = MPI_Isend(bytes, (int)size, MPI_BYTE, to, kind, comm, &handle);
    return begun(code, "cannot send", &handle, request, error);
}

wg_status wg__wire_receive(void *bytes, size_t size, int from, int kind, wg__request *request, wg_error *error)
{
    MPI_Request handle = MPI_REQUEST_NULL;
    const int code = MPI_Irecv(bytes, (int)size, MPI_BYTE, from, kind, comm, &handle);
    return begun(code, "cannot receive", &handle, request, error);
}

wg_status wg__wire_test(wg__request *request, bool *done, wg_error *error)
{
    int flag = 1;
    *done = true;
    if (!request->pending) return WG_OK;
    MPI_Request handle;
    memcpy(&handle, request->handle, sizeof handle);
    const int code = MPI_Test(&handle, &flag, MPI_STATUS_IGNORE);
    memcpy(request->handle, &handle, sizeof handle);
    *done = flag != 0;
    if (code != MPI_SUCCESS || flag) request->pending = false;
    return check(code, "a message failed", error);
}

wg_status wg__wire_note(void *bytes, size_t size, int *from, wg_error *error)
{
    MPI_Status found;
    int flag = 0;
    *from = -1;
    wg_status status = check(MPI_Iprobe(MPI_ANY_SOURCE, WG__NOTE, comm, &flag, &found), "cannot probe", error);
    if (status != WG_OK || !flag) return status;
    const int code = MPI_Recv(bytes, (int)size, MPI_BYTE, found.MPI_SOURCE, WG__NOTE, comm, MPI_STATUS_IGNORE);
    if (code == MPI_SUCCESS) *from = found.MPI_SOURCE;
    return check(code, "cannot receive", error);
}
