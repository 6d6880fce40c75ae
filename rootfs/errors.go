package rootfs

import "errors"

// Errors to be tested for with errors.Is.
var (
	// ErrNoImage says that no image has the given name or id.
	//lint:ignore ST1005 these are Docker's words, which people and scripts know
	ErrNoImage = errors.New("No such image")
	// ErrAmbiguous says that several images' ids start with the given prefix.
	ErrAmbiguous = errors.New("several images have an id with this prefix")
	// ErrInvalidReference says that a text cannot be an image's name.
	ErrInvalidReference = errors.New("invalid reference format")
	// ErrConflict says that an image or volume cannot be removed as it is used.
	ErrConflict = errors.New("conflict")
	// ErrNoVolume says that no volume has the given name.
	ErrNoVolume = errors.New("no such volume")
	// ErrInvalidVolumeName says that a text cannot be a volume's name.
	ErrInvalidVolumeName = errors.New("invalid volume name")
	// ErrEscapes says that a name in an archive points outside the layer.
	ErrEscapes = errors.New("points outside the archive's root")
	// ErrLimit says that an archive is larger than [Limits] allow.
	ErrLimit = errors.New("limit exceeded")
	// ErrUnsupported says that an archive holds or is something mini cannot unpack.
	ErrUnsupported = errors.New("not supported")
	// ErrOverlayTooLong says that an overlay's options exceed what mount(2) takes.
	ErrOverlayTooLong = errors.New("overlay mount options are too long")
	// ErrNotPlainFile says that a path names neither a regular file nor a directory.
	ErrNotPlainFile = errors.New("neither a regular file nor a directory")
)
