package symbols

// build tells an image's architecture how it was built.
type build struct{ im *Image }

func (b build) Constant(name string, near ...string) (int64, bool) {
	v, err := b.im.Enum(name, near...)
	return v, err == nil
}

func (b build) Member(structure, path string, near ...string) (uint64, bool) {
	s, err := b.im.Struct(structure, near...)
	if err != nil {
		return 0, false
	}
	f, err := s.Field(path)
	return f.Size, err == nil
}

func (b build) Size(symbol string) (uint64, bool) {
	s, err := b.im.Symbol(symbol)
	return s.Size, err == nil
}

func (b build) Content(symbol string, n int) (uint64, []byte, bool) {
	s, err := b.im.Symbol(symbol)
	if err != nil {
		return 0, nil, false
	}
	content := make([]byte, n)
	return s.Addr, content, b.im.Read(s.Addr, content) == nil
}
