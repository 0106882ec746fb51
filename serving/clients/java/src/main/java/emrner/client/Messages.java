package emrner.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.Int64Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.framework.DataType;
import org.tensorflow.framework.TensorProto;
import org.tensorflow.framework.TensorShapeProto;
import tensorflow.serving.Model.ModelSpec;
import tensorflow.serving.Predict.PredictRequest;
import tensorflow.serving.Predict.PredictResponse;

/** Builds the requests of PredictionService from texts and reads the entities of its answers. */
final class Messages {
  private static final List<String> OUTPUTS = List.of("num_entities", "start", "end", "label", "score");

  private Messages() {}

  /**
   * Builds the request for texts. It requests all outputs, because TensorFlow Serving merges only requests for the same
   * outputs and, in some versions, only those for all outputs of the signature.
   *
   * @param version version of the model; null is the server's newest
   */
  static PredictRequest request(List<String> texts, String model, Long version) {
    ModelSpec.Builder spec =
        ModelSpec.newBuilder().setName(model).setSignatureName("serving_default");
    if (version != null) {
      spec.setVersion(Int64Value.of(version));
    }
    TensorProto.Builder tensor =
        TensorProto.newBuilder()
            .setDtype(DataType.DT_STRING)
            .setTensorShape(
                TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dim.newBuilder().setSize(texts.size())));
    for (String text : texts) {
      tensor.addStringVal(ByteString.copyFromUtf8(text));
    }
    return PredictRequest.newBuilder().setModelSpec(spec).putInputs("text", tensor.build()).build();
  }

  /**
   * Returns the entities of each text of an answer.
   *
   * @throws IllegalStateException the answer breaks the contract
   */
  static List<List<Entity>> entities(List<String> texts, PredictResponse response) {
    for (String name : OUTPUTS) {
      TensorShapeProto shape = tensor(response, name).getTensorShape();
      // num_entities is [B], all others are [B, E].
      int dimensions = name.equals("num_entities") ? 1 : 2;
      if (shape.getDimCount() != dimensions || shape.getDim(0).getSize() != texts.size()) {
        throw new IllegalStateException("the answer has no output `" + name + "` of the expected shape");
      }
    }
    int width = (int) tensor(response, "start").getTensorShape().getDim(1).getSize();
    int size = texts.size() * width;
    List<Integer> counts = ints(tensor(response, "num_entities"), texts.size());
    List<Integer> starts = ints(tensor(response, "start"), size);
    List<Integer> ends = ints(tensor(response, "end"), size);
    List<ByteString> labels = repeated(tensor(response, "label").getStringValList(), size);
    List<Float> scores = floats(tensor(response, "score"), size);
    List<List<Entity>> found = new ArrayList<>(texts.size());
    for (int row = 0; row < texts.size(); row++) {
      int[] offsets = Offsets.utf16(texts.get(row));
      int count = counts.get(row);
      if (count < 0 || count > width) {
        throw new IllegalStateException("num_entities of the answer must be between 0 and its width, got " + count);
      }
      List<Entity> entities = new ArrayList<>(count);
      for (int at = row * width; at < row * width + count; at++) {
        int start = starts.get(at);
        int end = ends.get(at);
        if (start < 0 || start >= end || end >= offsets.length) {
          throw new IllegalStateException(
              String.format(
                  "the offsets %d and %d of the answer are outside a text of %d code points",
                  start, end, offsets.length - 1));
        }
        String label = labels.get(at).toStringUtf8();
        entities.add(new Entity(start, end, offsets[start], offsets[end], label, scores.get(at)));
      }
      found.add(entities);
    }
    return found;
  }

  private static TensorProto tensor(PredictResponse response, String name) {
    return response.getOutputsOrDefault(name, TensorProto.getDefaultInstance());
  }

  private static List<Integer> ints(TensorProto tensor, int size) {
    if (tensor.getTensorContent().isEmpty()) {
      return repeated(tensor.getIntValList(), size);
    }
    ByteBuffer content = content(tensor, size);
    List<Integer> values = new ArrayList<>(size);
    while (content.hasRemaining()) {
      values.add(content.getInt());
    }
    return values;
  }

  private static List<Float> floats(TensorProto tensor, int size) {
    if (tensor.getTensorContent().isEmpty()) {
      return repeated(tensor.getFloatValList(), size);
    }
    ByteBuffer content = content(tensor, size);
    List<Float> values = new ArrayList<>(size);
    while (content.hasRemaining()) {
      values.add(content.getFloat());
    }
    return values;
  }

  private static ByteBuffer content(TensorProto tensor, int size) {
    ByteString content = tensor.getTensorContent();
    if (content.size() != 4L * size) {
      throw new IllegalStateException(
          "the answer has a tensor of " + content.size() + " bytes, expected " + 4L * size);
    }
    return content.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Appends copies of the last value, which TensorProto may leave out. */
  private static <T> List<T> repeated(List<T> values, int size) {
    if (values.size() > size || (values.isEmpty() && size > 0)) {
      throw new IllegalStateException(
          "the answer has a tensor of " + values.size() + " values, expected " + size);
    }
    List<T> filled = new ArrayList<>(values);
    while (filled.size() < size) {
      filled.add(values.get(values.size() - 1));
    }
    return filled;
  }
}
