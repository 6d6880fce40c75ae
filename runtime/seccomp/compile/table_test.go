package compile

import "testing"

func TestTablesAreSorted(t *testing.T) {
	for _, table := range [][]entry{tableX8664[:], tableI386[:], tableAARCH64[:], tableARM[:]} {
		for i := 1; i < len(table); i++ {
			if table[i-1].name >= table[i].name {
				t.Errorf("%s is not before %s", table[i-1].name, table[i].name)
			}
		}
	}
}
