package emrner.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.tensorflow.framework.TensorProto;
import org.tensorflow.framework.TensorShapeProto;
import tensorflow.serving.Predict.PredictResponse;

class MessagesTest {
  private static final List<String> TEXTS = List.of("😀患", "ab");

  private static TensorProto.Builder tensor(int... sizes) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (int size : sizes) {
      shape.addDim(TensorShapeProto.Dim.newBuilder().setSize(size));
    }
    return TensorProto.newBuilder().setTensorShape(shape);
  }

  private static ByteString bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return ByteString.copyFrom(bytes);
  }

  /** Values that end in repeats may be left out; numbers may come as bytes. */
  private static PredictResponse.Builder answer() {
    return PredictResponse.newBuilder()
        .putOutputs("num_entities", tensor(2).addIntVal(1).build())
        .putOutputs("start", tensor(2, 1).setTensorContent(bytes(1, 0, 0, 0, 0, 0, 0, 0)).build())
        .putOutputs("end", tensor(2, 1).addIntVal(2).build())
        .putOutputs("label", tensor(2, 1).addStringVal(ByteString.copyFromUtf8("药物")).build())
        .putOutputs("score", tensor(2, 1).setTensorContent(bytes(0, 0, 0, 0x3f, 0, 0, 0x80, 0x3e)).build());
  }

  @Test
  void allOutputsAreRequested() {
    assertEquals(0, Messages.request(TEXTS, "ner", null).getOutputFilterCount());
  }

  @Test
  void answersAreReadInBothUnits() {
    assertEquals(
        List.of(List.of(new Entity(1, 2, 2, 3, "药物", 0.5f)), List.of(new Entity(0, 2, 0, 2, "药物", 0.25f))),
        Messages.entities(TEXTS, answer().build()));
  }

  @Test
  void answersThatBreakTheContractAreRefused() {
    List<Consumer<PredictResponse.Builder>> spoilt =
        List.of(
            answer -> answer.removeOutputs("label"),
            answer -> answer.putOutputs("start", tensor(1, 1).addIntVal(0).build()),
            answer -> answer.putOutputs("end", tensor(2, 1).build()),
            answer -> answer.putOutputs("score", tensor(2, 1).setTensorContent(bytes(0)).build()),
            answer -> answer.putOutputs("end", tensor(2, 1).addIntVal(3).build()),
            answer -> answer.putOutputs("end", tensor(2, 1).addIntVal(-1).build()),
            answer -> answer.putOutputs("num_entities", tensor(2).addIntVal(2).build()),
            answer -> answer.putOutputs("num_entities", tensor(2).addIntVal(-1).build()));
    for (Consumer<PredictResponse.Builder> spoil : spoilt) {
      PredictResponse.Builder answer = answer();
      spoil.accept(answer);
      assertThrows(IllegalStateException.class, () -> Messages.entities(TEXTS, answer.build()));
    }
  }
}
