package report

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// String returns h as 0x-prefixed lower-case hexadecimal without padding.
func (h Hex) String() string { return "0x" + strconv.FormatUint(uint64(h), 16) }

// MarshalText returns what String does.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes what MarshalText gives: "0x" and 1 to 16 digits.
func (h *Hex) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "0x")
	if !ok {
		return fmt.Errorf("%w: address %.20q does not begin with 0x", ErrInvalid, text)
	}
	v, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return fmt.Errorf("%w: address %.20q is not hexadecimal of at most 64 bits", ErrInvalid, text)
	}
	*h = Hex(v)
	return nil
}

// MarshalText returns two lower-case digits for each byte.
func (b HexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText takes what MarshalText gives.
func (b *HexBytes) UnmarshalText(text []byte) error {
	v, err := hex.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("%w: hexadecimal bytes: %w", ErrInvalid, err)
	}
	*b = v
	return nil
}

// MarshalJSON returns the text form, "" for no bytes: encoding/json would
// print null for a nil slice.
func (b HexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(b)) }
