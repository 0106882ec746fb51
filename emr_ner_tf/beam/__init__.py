"""Archives of records annotated on Apache Beam."""
