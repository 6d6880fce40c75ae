package compile

import (
	"math"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cond emits one argument check. A narrow argument is its lower 32 bits, with
// zeros above. The word order is that of little-endian machines, which all
// supported architectures are.
func (b *builder) cond(c specs.LinuxSeccompArg, narrow bool, yes, no label) label {
	switch c.Op {
	case specs.OpEqualTo:
		return b.masked(c.Index, math.MaxUint64, c.Value, narrow, yes, no)
	case specs.OpNotEqual:
		return b.masked(c.Index, math.MaxUint64, c.Value, narrow, no, yes)
	case specs.OpMaskedEqual:
		return b.masked(c.Index, c.Value, c.ValueTwo, narrow, yes, no)
	case specs.OpGreaterThan:
		return b.above(jgt, c, narrow, yes, no)
	case specs.OpLessEqual:
		return b.above(jgt, c, narrow, no, yes)
	case specs.OpGreaterEqual:
		return b.above(jge, c, narrow, yes, no)
	case specs.OpLessThan:
		return b.above(jge, c, narrow, no, yes)
	}
	panic("compile: operator not refused by checkConds")
}

// masked emits arg&mask == want.
func (b *builder) masked(index uint, mask, want uint64, narrow bool, yes, no label) label {
	if want&^mask != 0 || narrow && want>>32 != 0 {
		return no
	}
	low := b.maskedWord(lowWord(index), uint32(mask), uint32(want), yes, no)
	if narrow {
		return low
	}
	return b.maskedWord(highWord(index), uint32(mask>>32), uint32(want>>32), low, no)
}

func (b *builder) maskedWord(offset, mask, want uint32, yes, no label) label {
	if mask == 0 {
		return yes // want is 0 too
	}
	next := b.jump(jeq, want, yes, no)
	if mask != math.MaxUint32 {
		next = b.and(mask, next)
	}
	return b.load(offset, next)
}

// above emits arg > value or arg >= value, by op.
func (b *builder) above(op uint16, c specs.LinuxSeccompArg, narrow bool, yes, no label) label {
	high, low := uint32(c.Value>>32), uint32(c.Value)
	if narrow && high != 0 {
		return no
	}
	next := b.load(lowWord(c.Index), b.jump(op, low, yes, no))
	if narrow {
		return next
	}
	next = b.jump(jeq, high, next, no)
	next = b.jump(jgt, high, yes, next)
	return b.load(highWord(c.Index), next)
}

func lowWord(index uint) uint32  { return offsetArgs + 8*uint32(index) }
func highWord(index uint) uint32 { return lowWord(index) + 4 }
