/*
 * Notes which bytes of which files a process has made durable, and lets one fsync fail.
 *
 * Preloaded into the server by the crash test. Every file that is made or emptied, cut, or synced
 * is one line in the file that POWERLOSS_LOG names, appended by one write: whatever kills the
 * process, the lines of the calls that returned are there. A file is told by device and inode, so
 * renaming it changes nothing.
 *
 *     new DEVICE INODE 0 PATH       made or emptied: nothing of it is durable
 *     cut DEVICE INODE BYTES PATH   shortened to so much
 *     sync DEVICE INODE BYTES PATH  durable up to here
 *     fail DEVICE INODE BYTES PATH  a sync of it failed
 *
 * With POWERLOSS_FAIL_AFTER=n the first n syncs of *.log files succeed and the next takes its time
 * and fails with EIO; those after it succeed again, as they do on Linux.
 *
 * sync_file_range makes nothing durable and is not noted. Nor are sync, syncfs, msync and O_SYNC:
 * who relies on them is told of losses that would not happen.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int side = -1;
static long fail_after = -1;
static atomic_long log_syncs;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("POWERLOSS_LOG");
	const char *after = getenv("POWERLOSS_FAIL_AFTER");

	/* Whatever ends the test ends the server. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (after)
		fail_after = atol(after);
	if (path)
		side = (int)syscall(SYS_openat, AT_FDCWD, path,
				    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (side < 0) {
		static const char why[] = "shim: cannot open POWERLOSS_LOG\n";
		if (write(2, why, sizeof why - 1) < 0)
			_exit(121);
		_exit(120);
	}
}

static void path_of(int fd, char *path, size_t size)
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, size - 1);
	path[length < 0 ? 0 : length] = 0;
}

static void note(const char *what, const struct stat *file, off_t bytes, const char *path)
{
	char line[4600];
	int length = snprintf(line, sizeof line, "%s %llu %llu %lld %s\n", what,
			      (unsigned long long)file->st_dev, (unsigned long long)file->st_ino,
			      (long long)bytes, path);

	if (syscall(SYS_write, side, line, (size_t)length) != length)
		_exit(120);
}

static int synced(int fd, long call)
{
	struct stat file;
	char path[4096];
	size_t length;

	/* What is written while the sync runs may or may not be in it: only what was there before is. */
	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
		return (int)syscall(call, fd);
	path_of(fd, path, sizeof path);
	length = strlen(path);
	if (fail_after >= 0 && length > 4 && strcmp(path + length - 4, ".log") == 0 &&
	    atomic_fetch_add(&log_syncs, 1) == fail_after) {
		syscall(call, fd);
		note("fail", &file, file.st_size, path);
		errno = EIO;
		return -1;
	}
	if (syscall(call, fd) != 0) {
		int why = errno;

		note("fail", &file, file.st_size, path);
		errno = why;
		return -1;
	}
	note("sync", &file, file.st_size, path);
	return 0;
}

int fsync(int fd)
{
	return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return synced(fd, SYS_fdatasync);
}

static int opened(int dir, const char *name, int flags, mode_t mode)
{
	int fd = (int)syscall(SYS_openat, dir, name, flags, mode);
	struct stat file;
	char path[4096];

	if (fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || fstat(fd, &file) != 0 ||
	    !S_ISREG(file.st_mode) || file.st_size != 0)
		return fd;
	path_of(fd, path, sizeof path);
	note("new", &file, 0, path);
	return fd;
}

#define MODE(flags, mode)                                    \
	do {                                                 \
		if ((flags) & (O_CREAT | __O_TMPFILE)) {     \
			va_list more;                        \
			va_start(more, flags);               \
			mode = (mode_t)va_arg(more, int);    \
			va_end(more);                        \
		}                                            \
	} while (0)

int open(const char *name, int flags, ...)
{
	mode_t mode = 0;

	MODE(flags, mode);
	return opened(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
	mode_t mode = 0;

	MODE(flags, mode);
	return opened(AT_FDCWD, name, flags, mode);
}

int openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;

	MODE(flags, mode);
	return opened(dir, name, flags, mode);
}

int openat64(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;

	MODE(flags, mode);
	return opened(dir, name, flags, mode);
}

static int cut(int fd, off_t bytes)
{
	struct stat file;
	char path[4096];

	if (syscall(SYS_ftruncate, fd, bytes) != 0)
		return -1;
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
		path_of(fd, path, sizeof path);
		note("cut", &file, bytes, path);
	}
	return 0;
}

int ftruncate(int fd, off_t bytes)
{
	return cut(fd, bytes);
}

int ftruncate64(int fd, off64_t bytes)
{
	return cut(fd, bytes);
}
