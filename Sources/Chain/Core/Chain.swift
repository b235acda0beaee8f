/// (being laid)
