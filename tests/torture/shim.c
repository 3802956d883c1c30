/* Stands between a program and the files below one folder: keeps a log of what is written to them, in order, or
   lets one call of the system fail. Loaded with LD_PRELOAD; does nothing before unspool_shim_arm is called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[512];
static size_t root_length;
static int log_descriptor = -1;
static long calls, fail_at = -1;
static int fail_errno, fail_stays, fail_short;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real; })

void unspool_shim_arm(const char *folder, int log, long at, int error, int stays, int is_short) {
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    log_descriptor = log;
    calls = 0;
    fail_at = at;
    fail_errno = error;
    fail_stays = stays;
    fail_short = is_short;
}

void unspool_shim_disarm(void) { root_length = 0; fail_at = -1; log_descriptor = -1; }

long unspool_shim_calls(void) { return calls; }

static int is_ours(const char *path) { return root_length && path && strncmp(path, root, root_length) == 0; }

static int path_of(int descriptor, char *path, size_t size) {
    char link[64];
    if (!root_length || descriptor < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = REAL(readlink)(link, path, size - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_ours(path) && strstr(path, "-shm") == NULL;
}

/* Whether this call is to fail. */
static int fails(void) {
    if (!root_length) return 0;
    long now = __sync_fetch_and_add(&calls, 1);
    if (fail_at < 0 || fail_short) return 0;
    if (now == fail_at || (fail_stays && now > fail_at)) { errno = fail_errno; return 1; }
    return 0;
}

static size_t shortened(size_t count) {
    if (fail_short && count > 1 && calls - 1 == fail_at) return count / 2;
    return count;
}

static void put(const void *data, size_t count) {
    const char *bytes = data;
    while (count) {
        ssize_t done = REAL(write)(log_descriptor, bytes, count);
        if (done <= 0) abort();
        bytes += done;
        count -= done;
    }
}

static void note(const void *data, size_t count, const char *format, ...) {
    if (log_descriptor < 0) return;
    int before = errno;
    char line[2400];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&gate);
    put(line, length);
    if (count) put(data, count);
    pthread_mutex_unlock(&gate);
    errno = before;
}

static unsigned long inode_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) ? 0 : (unsigned long)status.st_ino;
}

static void note_opened(int descriptor, const char *path, int flags, int existed) {
    if (descriptor < 0 || !is_ours(path) || strstr(path, "-shm")) return;
    if ((flags & O_CREAT) && !existed) note(NULL, 0, "C\t%lu\t%s\n", inode_of(descriptor), path);
    else if (flags & O_TRUNC) note(NULL, 0, "T\t%lu\t0\n", inode_of(descriptor));
}

static int opens(const char *path, int flags, mode_t mode) {
    int existed = 1;
    if (is_ours(path) && !strstr(path, "-shm")) {
        if (fails()) return -1;
        if (flags & O_CREAT) existed = REAL(faccessat)(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    int descriptor = REAL(openat)(AT_FDCWD, path, flags, mode);
    note_opened(descriptor, path, flags, existed);
    return descriptor;
}

#define MODE(flags, last) ({ mode_t m = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, last); m = va_arg(a, int); va_end(a); } m; })

int open(const char *path, int flags, ...) { return opens(path, flags, MODE(flags, flags)); }
int open64(const char *path, int flags, ...) { return opens(path, flags | O_LARGEFILE, MODE(flags, flags)); }
int openat(int folder, const char *path, int flags, ...) {
    mode_t mode = MODE(flags, flags);
    return path[0] == '/' ? opens(path, flags, mode) : REAL(openat)(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    mode_t mode = MODE(flags, flags);
    return path[0] == '/' ? opens(path, flags | O_LARGEFILE, mode) : REAL(openat)(folder, path, flags | O_LARGEFILE, mode);
}

ssize_t write(int descriptor, const void *data, size_t count) {
    char path[1024];
    if (!path_of(descriptor, path, sizeof path)) return REAL(write)(descriptor, data, count);
    if (fails()) return -1;
    off_t at = lseek(descriptor, 0, SEEK_CUR);
    ssize_t done = REAL(write)(descriptor, data, shortened(count));
    if (done > 0) note(data, done, "W\t%lu\t%ld\t%ld\n", inode_of(descriptor), (long)at, (long)done);
    return done;
}

static ssize_t pwrites(int descriptor, const void *data, size_t count, off_t at) {
    char path[1024];
    if (!path_of(descriptor, path, sizeof path)) return REAL(pwrite64)(descriptor, data, count, at);
    if (fails()) return -1;
    ssize_t done = REAL(pwrite64)(descriptor, data, shortened(count), at);
    if (done > 0) note(data, done, "W\t%lu\t%ld\t%ld\n", inode_of(descriptor), (long)at, (long)done);
    return done;
}
ssize_t pwrite(int descriptor, const void *data, size_t count, off_t at) { return pwrites(descriptor, data, count, at); }
ssize_t pwrite64(int descriptor, const void *data, size_t count, off64_t at) { return pwrites(descriptor, data, count, at); }

ssize_t read(int descriptor, void *data, size_t count) {
    char path[1024];
    if (path_of(descriptor, path, sizeof path) && fails()) return -1;
    return REAL(read)(descriptor, data, count);
}
ssize_t pread(int descriptor, void *data, size_t count, off_t at) {
    char path[1024];
    if (path_of(descriptor, path, sizeof path) && fails()) return -1;
    return REAL(pread64)(descriptor, data, count, at);
}
ssize_t pread64(int descriptor, void *data, size_t count, off64_t at) {
    char path[1024];
    if (path_of(descriptor, path, sizeof path) && fails()) return -1;
    return REAL(pread64)(descriptor, data, count, at);
}

static int truncates(int descriptor, off64_t size) {
    char path[1024];
    int ours = path_of(descriptor, path, sizeof path);
    if (ours && fails()) return -1;
    int result = REAL(ftruncate64)(descriptor, size);
    if (ours && !result) note(NULL, 0, "T\t%lu\t%ld\n", inode_of(descriptor), (long)size);
    return result;
}
int ftruncate(int descriptor, off_t size) { return truncates(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) { return truncates(descriptor, size); }

static int syncs(int descriptor) {
    char path[1024];
    int ours = path_of(descriptor, path, sizeof path);
    if (ours && fails()) return -1;
    /* The disk need not be waited for: what a power cut leaves is worked out from the log. */
    if (ours) note(NULL, 0, "S\t%lu\t%s\n", inode_of(descriptor), path);
    return 0;
}
int fsync(int descriptor) { return syncs(descriptor); }
int fdatasync(int descriptor) { return syncs(descriptor); }

int fchmod(int descriptor, mode_t mode) {
    char path[1024];
    if (path_of(descriptor, path, sizeof path) && fails()) return -1;
    return REAL(fchmod)(descriptor, mode);
}

int rename(const char *from, const char *to) {
    if (is_ours(from) && fails()) return -1;
    int result = REAL(rename)(from, to);
    if (is_ours(from) && !result) note(NULL, 0, "R\t%s\t%s\n", from, to);
    return result;
}
int link(const char *from, const char *to) {
    if (is_ours(from) && fails()) return -1;
    int result = REAL(link)(from, to);
    if (is_ours(from) && !result) note(NULL, 0, "L\t%s\t%s\n", from, to);
    return result;
}
int linkat(int one, const char *from, int other, const char *to, int flags) {
    if (is_ours(from) && fails()) return -1;
    int result = REAL(linkat)(one, from, other, to, flags);
    if (is_ours(from) && !result) note(NULL, 0, "L\t%s\t%s\n", from, to);
    return result;
}
int unlink(const char *path) {
    if (is_ours(path) && !strstr(path, "-shm") && fails()) return -1;
    int result = REAL(unlink)(path);
    if (is_ours(path) && !result && !strstr(path, "-shm")) note(NULL, 0, "U\t%s\n", path);
    return result;
}
int unlinkat(int folder, const char *path, int flags) {
    int result = REAL(unlinkat)(folder, path, flags);
    if (is_ours(path) && !result) note(NULL, 0, "U\t%s\n", path);
    return result;
}
