/* Injected faults and a temporary folder for the tests of io/: see test_io.h. */
#include "test_io.h"

#include <dirent.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- faults ---- */

fault_state fault;

/* Whether this call must fail; sets errno. */
static bool call_fails(int code)
{
    fault.calls++;
    if (fault.fail_call == 0 || (fault.for_good ? fault.calls < fault.fail_call : fault.calls != fault.fail_call))
        return false;
    if (fault.dies) _exit(77);
    errno = code;
    return true;
}

static bool allocation_fails(size_t size)
{
    if (size > fault.largest) fault.largest = size;
    fault.allocations++;
    return fault.fail_allocation > 0 && (fault.for_good ? fault.allocations >= fault.fail_allocation
                                                        : fault.allocations == fault.fail_allocation);
}

void fault_begin(long call, long allocation, bool dies)
{
    memset(&fault, 0, sizeof fault);
    fault.fail_call = call;
    fault.fail_allocation = allocation;
    fault.dies = dies;
}

void fault_end(void) { memset(&fault, 0, sizeof fault); }

/* The linker dictates the names of the wrappers: __wrap_x is called for x, __real_x is x. Names of calls that have a
 * variant for large files: meson.build asks the C library. */
#ifdef LARGE_FILES
#define OF_FILES(prefix, call) prefix##call##64
#else
#define OF_FILES(prefix, call) prefix##call
#endif
#define WRAP(type, name, parameters, arguments, code, failure)                                                     \
    type __real_##name parameters;                                                                                 \
    type __wrap_##name parameters;                                                                                 \
    type __wrap_##name parameters { return call_fails(code) ? failure : __real_##name arguments; }
#define WRAP_OF_FILES(type, name, parameters, arguments, code, failure)                                            \
    type OF_FILES(__real_, name) parameters;                                                                       \
    type OF_FILES(__wrap_, name) parameters;                                                                       \
    type OF_FILES(__wrap_, name) parameters                                                                        \
    {                                                                                                              \
        return call_fails(code) ? failure : OF_FILES(__real_, name) arguments;                                     \
    }
WRAP(int, fsync, (int fd), (fd), EIO, -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), EACCES, -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM, -1)
WRAP(int, flock, (int fd, int what), (fd, what), ENOLCK, -1)
WRAP(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size), EIO, -1)
WRAP_OF_FILES(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode), EMFILE, -1)
WRAP_OF_FILES(int, openat, (int at, const char *path, int flags, mode_t mode), (at, path, flags, mode), EMFILE, -1)
WRAP_OF_FILES(int, fstat, (int fd, void *info), (fd, info), EIO, -1)
WRAP_OF_FILES(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
              (at, size, protection, flags, fd, offset), ENODEV, MAP_FAILED)

ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    if (call_fails(ENOSPC)) return -1;
    return __real_write(fd, bytes, fault.short_calls && size > 7 ? 7 : size);
}

/* In the place of the C library's, so that zlib calls it, too. */
ssize_t read(int fd, void *bytes, size_t size)
{
    if (call_fails(EIO)) return -1;
    return syscall(SYS_read, fd, bytes, fault.short_calls && size > 7 ? 7 : size);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    bool fails = call_fails(EIO);
    int code = __real_close(fd);
    if (fails) errno = EIO;
    return fails ? -1 : code;
}
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) { return allocation_fails(size) ? NULL : __real_malloc(size); }
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) { return allocation_fails(n * size) ? NULL : __real_calloc(n, size); }
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size) { return allocation_fails(size) ? NULL : __real_realloc(old, size); }

/* ---- the temporary folder ---- */

char folder[64];

const char *in_folder(const char *name)
{
    static char path[2][512];
    static int which;
    which = !which;
    snprintf(path[which], sizeof path[which], "%s/%s", folder, name);
    return path[which];
}

void put_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

char *get_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    bytes[*size] = 0;
    fclose(f);
    return bytes;
}

wg_safetensors *file_with(const char *header, const void *data, size_t size)
{
    const uint64_t length = strlen(header);
    char *bytes = malloc(8 + length + size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, data, size);
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_parse(bytes, 8 + length + size, "file", &error);
    free(bytes);
    assert_non_null(file);
    return file;
}

int count_files(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

void empty_folder(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.') unlink(in_folder(e->d_name));
    closedir(dir);
}

void make_folder(void)
{
    strcpy(folder, "/tmp/wengert-io-XXXXXX");
    if (!mkdtemp(folder)) abort();
}

void remove_folder(void)
{
    empty_folder();
    rmdir(folder);
}
