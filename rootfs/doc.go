// Package rootfs keeps what a container's root file system is made of: images
// and their layers, volumes, the overlay mount's options, and the texts of
// /etc/hosts, /etc/hostname and /etc/resolv.conf. It also looks up users in a
// container's own /etc/passwd.
//
// # On disk
//
//	ROOT/layers/<diffID>/fs          one unpacked layer, an overlay lowerdir
//	ROOT/layers/<diffID>/layer.json  its size
//	ROOT/layers/.tmp/                imports under way, and what is being deleted
//	ROOT/images/<id>/image.json      all that a start needs to know
//	ROOT/images/<id>/config.json     the image's configuration, whose sha256 is the id
//	ROOT/images/refs/<name:tag>      the id a name stands for
//	ROOT/images/.lock                held for bookkeeping, never while unpacking
//	ROOT/volumes/<name>/_data        one volume
//
// A layer is unpacked into a temporary directory and renamed into place, so a
// process killed at any instruction leaves either the whole layer or garbage
// below .tmp. The owner of such a directory holds a lock on it: the next
// operation that writes removes those whose owner is gone.
//
// A name leads to its image with two small reads plus one for each tag of the
// image, and without a lock.
//
// # Hostile images
//
// Archives and images are not trusted. Every path in an archive is resolved by
// the kernel below the layer's directory (openat2(2) with RESOLVE_IN_ROOT,
// Linux 5.6), every object is created relative to a directory handle, and no
// overlayfs attribute is taken from an archive. [OpenInRoot] reads files of a
// container in the same way.
//
// The package does not mount anything, and does not know containers or
// networks. It is not an image builder.
package rootfs
