package rootfs

import goruntime "runtime"

func lockThread() { goruntime.LockOSThread() }
