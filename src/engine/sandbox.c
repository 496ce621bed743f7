/* A worker's fences: resource limits, a file system reduced to two folders, and no system call that
 * could open a way out. They hold for the threads started afterwards, so DuckDB's own threads must
 * not exist yet. */
#include "engine/engine_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void limit(int what, rlim_t value)
{
	struct rlimit now;
	if (getrlimit(what, &now))
		_exit(3);
	if (now.rlim_max != RLIM_INFINITY && value > now.rlim_max)
		value = now.rlim_max;
	struct rlimit r = { value, value };
	if (setrlimit(what, &r))
		_exit(3);
}

static void limits(const struct nx_sandbox *s)
{
	rlim_t mb = 1u << 20;
	/* twice the engine's own limit: windows and list aggregates were measured at 1.9 times. The
	 * sanitizers' shadow memory does not fit below any limit */
	if (!SANITIZED)
		limit(RLIMIT_AS, (2 * (rlim_t)s->memory_mb + 1024) * mb);
	limit(RLIMIT_CPU, s->cpu_seconds);
	limit(RLIMIT_NOFILE, 1024);
	limit(RLIMIT_FSIZE, (s->spill_mb ? s->spill_mb : 1) * mb);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_MEMLOCK, 0);
}

static bool allow_path(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};
	if (rule.parent_fd < 0)
		return false;
	long r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return r == 0;
}

static bool landlock(const struct nx_sandbox *s)
{
	/* version 1 of the interface; the sandbox needs nothing newer, but later kernels can also
	 * guard truncation */
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return false;
	const uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	uint64_t write = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
			 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
			 LANDLOCK_ACCESS_FS_REMOVE_DIR;
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif
	if (abi >= 3)
		write |= LANDLOCK_ACCESS_FS_TRUNCATE;
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = read | write | LANDLOCK_ACCESS_FS_EXECUTE |
				     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
				     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
				     LANDLOCK_ACCESS_FS_MAKE_SYM,
	};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	if (fd < 0)
		return false;
	bool ok = allow_path(fd, s->root, read) && allow_path(fd, s->temp, read | write) &&
		  syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close(fd);
	return ok;
}

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* What a query never needs. A refusal list, for the library's own needs differ by version; the
 * file system and memory are fenced by other means. */
static const int refused[] = {
	SYS_socket,
	SYS_socketpair,
	SYS_connect,
	SYS_bind,
	SYS_listen,
	SYS_accept,
	SYS_accept4,
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kill,
	SYS_tkill,
	SYS_pidfd_open,
	SYS_pidfd_getfd,
	SYS_pidfd_send_signal,
	SYS_unshare,
	SYS_setns,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_memfd_create,
	SYS_setuid,
	SYS_setgid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setgroups,
	SYS_capset,
	SYS_init_module,
	SYS_finit_module,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_fchmod,
	SYS_fchmodat,
	SYS_fchownat,
	SYS_linkat,
	SYS_symlinkat,
	SYS_mknodat,
#if defined(__x86_64__)
	SYS_fork,
	SYS_vfork,
#endif
};

static bool seccomp(void)
{
#ifdef ARCH
	enum { N = (int)NX_COUNTOF(refused) };
	const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
	struct sock_filter f[N * 2 + 16];
	unsigned n = 0;
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(what) BPF_STMT(BPF_RET | BPF_K, what)
	f[n++] = (struct sock_filter)LOAD(arch);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	f[n++] = (struct sock_filter)RET(SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)LOAD(nr);
#if defined(__x86_64__) /* the x32 numbers would pass all tests below */
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	f[n++] = (struct sock_filter)RET(refuse);
#endif
	for (int i = 0; i < N; i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						      (uint32_t)refused[i], 0, 1);
		f[n++] = (struct sock_filter)RET(refuse);
	}
	/* clone3 hides its flags behind a pointer: "not there" makes libc use clone, which may make
	 * threads only */
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	f[n++] = (struct sock_filter)RET(SECCOMP_RET_ERRNO | ENOSYS);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
	f[n++] = (struct sock_filter)LOAD(args[0]);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x00010000, 1, 0);
	f[n++] = (struct sock_filter)RET(refuse);
	f[n++] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { (unsigned short)n, f };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0;
#else
	return false;
#endif
}

unsigned nx_sandbox_enter(const struct nx_sandbox *s)
{
	unsigned fences = 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		_exit(3);
	limits(s);
	if (landlock(s))
		fences |= NX_FENCE_LANDLOCK;
	if (seccomp())
		fences |= NX_FENCE_SECCOMP;
	return fences;
}
