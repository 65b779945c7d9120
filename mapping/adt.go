package mapping

func (b *build) adt() error { return b.unmapped() }
