/* Replacing a file atomically, by the sequence of databases: temporary file in the same folder, write, fsync, rename,
 * fsync of the folder. A failed fsync is final, because the kernel may have dropped the pages that it could not write.
 *
 * A temporary file is locked while its writer lives. A process that is killed leaves it behind, and the lock goes; the
 * next save of the same file removes it. */
#include "file.h"

#include "../autograd/base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool wg__write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t part = write(fd, at, size < (1u << 30) ? size : 1u << 30);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            if (part == 0) errno = EIO;
            return false;
        }
        at += part;
        size -= (size_t)part;
    }
    return true;
}

/* ---- the file to replace ---- */

static wg_status too_long(const char *path, wg_error *error)
{
    return wg_error_set(error, WG_ERR_IO, WG__AT "file name is too long", path);
}

/* Follows symbolic links, also to a file that is not there yet. */
static wg_status follow_links(const char *path, char target[PATH_MAX], wg_error *error)
{
    enum { MOST_LINKS = 40 };
    char link[PATH_MAX];
    if (!path || !*path) return wg_error_set(error, WG_ERR_ARGUMENT, "no file name given");
    if (strlen(path) >= PATH_MAX) return too_long(path, error);
    strcpy(target, path);
    for (int i = 0; i < MOST_LINKS; i++) {
        const ssize_t n = readlink(target, link, sizeof link - 1);
        if (n < 0 && (errno == EINVAL || errno == ENOENT)) return WG_OK; /* no link */
        if (n < 0) return wg__system_error(error, path, "cannot follow");
        const char *slash = link[0] == '/' ? NULL : strrchr(target, '/');
        const size_t folder = slash ? (size_t)(slash + 1 - target) : 0;
        if (folder + (size_t)n >= PATH_MAX) return too_long(path, error);
        memcpy(target + folder, link, (size_t)n);
        target[folder + (size_t)n] = 0;
    }
    errno = ELOOP;
    return wg__system_error(error, path, "cannot follow");
}

/* *old is the target as it is now; st_nlink is 0 if there is none. Rejects a device, since a rename would replace it by
 * a file. */
static wg_status find_target(const char *path, char target[PATH_MAX], struct stat *old, wg_error *error)
{
    wg_status status = follow_links(path, target, error);
    *old = (struct stat){0};
    if (status != WG_OK) return status;
    if (stat(target, old) != 0) return errno == ENOENT ? WG_OK : wg__system_error(error, path, "cannot stat");
    if (S_ISREG(old->st_mode)) return WG_OK;
    return wg_error_set(error, WG_ERR_IO, WG__AT "%s", path,
                        S_ISDIR(old->st_mode) ? "is a directory" : "is not a regular file");
}

/* The new file belongs to the old one's owner and group, where the system allows that, and has its permissions, before
 * anything is written to it. If another group gets it, that may do what everybody may. */
static void keep_owner(int fd, const struct stat *old)
{
    struct stat own;
    mode_t mode = old->st_mode & 0777;
    const bool known = fstat(fd, &own) == 0;
    if (!known || own.st_uid != old->st_uid || own.st_gid != old->st_gid)
        if (fchown(fd, old->st_uid, old->st_gid) != 0 && fchown(fd, (uid_t)-1, old->st_gid) != 0)
            mode &= 0707 | (mode & 7) << 3;
    if (fchmod(fd, mode) != 0) return; /* it stays private: 0600 */
}

/* ---- temporary files ---- */

enum { DIGITS = 16, SUFFIX = sizeof ".tmp-" - 1 + DIGITS, PREFIX_SIZE = PATH_MAX - DIGITS };

/* "model.safetensors.tmp-": the target with its name cut, so that the temporary name is not too long. */
static bool temporary_prefix(const char *target, char prefix[PREFIX_SIZE])
{
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    const int length = (int)(name - target) + (int)strnlen(name, NAME_MAX - SUFFIX);
    return snprintf(prefix, PREFIX_SIZE, "%.*s.tmp-", length, target) < PREFIX_SIZE;
}

/* Removes a temporary file whose writer is gone: it can be locked. */
static void remove_if_left(int folder, const char *name)
{
    const int fd = openat(folder, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(folder, name, 0);
    close(fd);
}

static void sweep(const char *prefix)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(prefix, '/'), *name = slash ? slash + 1 : prefix;
    const size_t length = strlen(name);
    strcpy(folder, prefix);
    DIR *entries = opendir(dirname(folder));
    if (!entries) return; /* a folder that cannot be read */
    for (struct dirent *e; (e = readdir(entries));)
        if (strncmp(e->d_name, name, length) == 0 && strlen(e->d_name) == length + DIGITS &&
            strspn(e->d_name + length, "0123456789abcdef") == DIGITS)
            remove_if_left(dirfd(entries), e->d_name);
    closedir(entries);
}

/* Creates a temporary file with a unique name, locked. A file system without locks has no sweeping either. */
static int open_temporary(const char prefix[PREFIX_SIZE], mode_t mode, char temporary[PATH_MAX])
{
    for (uint64_t attempt = 0; attempt < 1000; attempt++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        const uint64_t parts[] = {(uint64_t)now.tv_sec, (uint64_t)now.tv_nsec, (uint64_t)getpid(), attempt,
                                  (uint64_t)(uintptr_t)temporary};
        snprintf(temporary, PATH_MAX, "%s%016llx", prefix,
                 (unsigned long long)wg__hash_bytes(0, parts, sizeof parts));
        const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0 && errno == EEXIST) continue;
        if (fd < 0) return fd;
        struct stat info; /* a sweep may have seen it before it was locked */
        const bool taken = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!taken && (fstat(fd, &info) != 0 || info.st_nlink > 0)) return fd;
        close(fd);
    }
    errno = EEXIST;
    return -1;
}

/* ---- replacing ---- */

/* Makes the rename durable. A folder that cannot be opened is synced with its whole file system, and one that cannot be
 * synced (EINVAL) needs no sync. */
static bool sync_folder(const char *target, int file)
{
    char folder[PATH_MAX];
    strcpy(folder, target);
    const int fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == EACCES && syncfs(file) == 0;
    const bool ok = fsync(fd) == 0 || errno == EINVAL;
    const int code = errno;
    close(fd);
    errno = code;
    return ok;
}

wg_status wg__file_replace_by(const char *path, wg__write write, void *context, wg_error *error)
{
    char target[PATH_MAX], prefix[PREFIX_SIZE], temporary[PATH_MAX];
    struct stat old;
    wg_status status = find_target(path, target, &old, error);
    if (status != WG_OK) return status;
    if (!temporary_prefix(target, prefix)) return too_long(path, error);
    sweep(prefix);
    const int fd = open_temporary(prefix, old.st_nlink ? 0600 : 0666, temporary);
    if (fd < 0) return wg__system_error(error, path, "cannot create");
    if (old.st_nlink) keep_owner(fd, &old);

    wg_error reason = {0};
    const char *failed = write(context, fd, &reason) ? NULL : "cannot write";
    if (!failed && fsync(fd) != 0) failed = "cannot sync to disk";
    if (!failed && rename(temporary, target) != 0) failed = "cannot rename";
    if (failed)
        status = reason.status == WG_OK ? wg__system_error(error, path, failed)
                                        : wg_error_set(error, reason.status, WG__AT "%s", path, reason.text);
    if (failed) unlink(temporary);
    if (!failed && !sync_folder(target, fd))
        status = wg__system_error(error, path, "written, but cannot sync its directory");
    close(fd); /* an error would concern bytes that are synced, or a file that is removed */
    return status;
}

typedef struct pieces {
    const wg__piece *piece;
    size_t n;
} pieces;

static bool write_pieces(void *context, int fd, wg_error *reason)
{
    const pieces *p = context;
    for (size_t i = 0; i < p->n; i++)
        if (!wg__write_all(fd, p->piece[i].data, p->piece[i].size)) return false;
    return true;
}

wg_status wg__file_replace(const char *path, const wg__piece *piece, size_t n, wg_error *error)
{
    return wg__file_replace_by(path, write_pieces, &(pieces){piece, n}, error);
}

wg_status wg_file_write(const char *path, const void *bytes, size_t size, wg_error *error)
{
    return wg__file_replace(path, &(wg__piece){bytes, size}, 1, error);
}
