package mapping

func (b *build) provenance() {}
