package ipam

import (
	"fmt"
	"strconv"
)

// Owner identifies who has an address: the first 16 hexadecimal digits of a
// container's id. The zero Owner is nobody.
type Owner uint64

const ownerDigits = 16

// ParseOwner reads the first 16 hexadecimal digits of id and ignores the rest.
func ParseOwner(id string) (Owner, error) {
	if len(id) < ownerDigits {
		return 0, fmt.Errorf("owner %q is too short: want at least %d hexadecimal digits", id, ownerDigits)
	}
	n, err := strconv.ParseUint(id[:ownerDigits], 16, 64)
	if err != nil {
		return 0, fmt.Errorf("owner %q does not begin with %d hexadecimal digits", id, ownerDigits)
	}
	if n == 0 {
		return 0, fmt.Errorf("owner %q is all zeros, which stands for nobody", id)
	}
	return Owner(n), nil
}

// String gives the 16 digits.
func (o Owner) String() string { return fmt.Sprintf("%016x", uint64(o)) }
